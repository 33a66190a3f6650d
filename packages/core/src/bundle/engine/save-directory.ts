import type { VersionRecord } from '../format/version-record.ts'
import { emptyTree, type KnownTree } from './known-tree.ts'
import { readParent } from './read-parent.ts'
import type { Repository } from './repository.ts'
import { runSaveJob } from './save-job.ts'
import type { SavedTree } from './saved-tree.ts'
import { uploadPacks } from './upload-packs.ts'

export interface SaveDirectoryOptions {
  readonly workspaceId: string
  /** Absolute. */
  readonly directory: string
  /** The version that the next one builds on; also a fork's source. */
  readonly parent: VersionRecord | null
  /** See `CreateBundleOptions.exclude`. @default nothing */
  readonly exclude?: readonly string[] | undefined
  /** A private directory for what makes the next save cheap; `null`: every save reads every file. */
  readonly cacheDirectory: string | null
  readonly onProgress?: ((progress: SaveProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface SaveProgress {
  /** Files whose content is known, by reading or from the cache. */
  readonly filesDone: number
  /** `null` until the walk is done. */
  readonly filesExpected: number | null
  /** Of the files that have to be read. */
  readonly bytesDone: number
  readonly bytesExpected: number | null
  readonly uploadedBytes: number
}
const memo = new Map<string, KnownTree>()
export async function saveDirectory(
  repository: Repository,
  options: SaveDirectoryOptions,
): Promise<SavedTree> {
  const { directory, parent, signal, exclude = [] } = options
  const uploads = uploadPacks(repository, signal)
  const known = memo.get(directory) ?? emptyTree()
  memo.set(directory, known)
  const saved = await runSaveJob(
    { directory, exclude, keys: repository.keys, parent: parent === null ? null : { root: parent.root.node, packs: parent.packs } },
    known,
    {
      put: uploads.put,
      pause: () => undefined,
      onWalked: () => undefined,
      onProgress: () => undefined,
      readParent: (request) => readParent(repository, request, signal),
    },
  )
  await uploads.settle()
  return saved
}
