import { setImmediate } from 'node:timers/promises'
import { toWorkspaceError } from '../../../filesystem/filesystem-error.ts'
import { recoverDirectory } from '../../../filesystem/work-directory.ts'
import { toByteString } from '../../../filesystem/directory-handle.ts'
import { excludeFilter } from '../../exclude-filter.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { knownTreeFile } from '../known/known-tree-file.ts'
import { listSmallTree, type ListedTree } from './list-small-tree.ts'
import { hasKnownTree, useKnownTree } from '../known/known-trees.ts'
import type { NewFileLimits } from './new-file-limits.ts'
import { readParent } from './read-parent.ts'
import type { Repository } from '../repository/repository.ts'
import { runSaveJob } from './save-job.ts'
import type { SaveHost } from './save-state.ts'
import { isAtHomeInThread, saveInThread, ThreadsUnavailable, type ThreadedSave } from './save-threads.ts'
import type { SavedTree, SaveProgress } from './saved-tree.ts'

import { uploadPacks } from '../repository/upload-packs.ts'

export type { SaveProgress } from './saved-tree.ts'

export interface SaveDirectoryOptions {
  readonly workspaceId: string
  /** Absolute. */
  readonly directory: string
  /** The version that the next one builds on; also a fork's source. */
  readonly parent: VersionRecord | null
  /** See `CreateBundleOptions.exclude`. @default nothing */
  readonly exclude?: readonly string[] | undefined
  /** @default all files count */
  readonly newFiles?: NewFileLimits | undefined
  /** A private directory for what makes the next save cheap; `null`: every save reads every file. */
  readonly cacheDirectory: string | null
  readonly onProgress?: ((progress: SaveProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/** A larger tree is saved in a thread of its own; below, starting the thread would cost more than it spares. */
const MAX_INLINE_ENTRIES = 3_000
const MAX_INLINE_BYTES = 24 * 1024 * 1024
/** The cache file of a tree of that size. */
const MAX_INLINE_CACHE_BYTES = 600 * 1024
/** Read for nothing when the tree turns out to be large after all; a fourth of a pack, so none is put yet. */
const READ_AHEAD_BYTES = 4 * 1024 * 1024
const SLICE_MS = 4

/**
 * Puts what the store lacks of the directory into it, as packs. Commits nothing: without a version record that names
 * the packs they are garbage. The directory is only read; nothing but regular files is opened, no link is followed.
 *
 * A file is stored as it was at one moment. One that changes while it is read is read up to three times; one that never
 * holds still keeps the parent's content (or is left out when there is none) and is listed as `unstable`.
 *
 * With a warm cache an unchanged directory costs a walk and no call to the store, a small change one put.
 * @throws `ACCESS_DENIED`, `NOT_FOUND`, `INVALID_INPUT` for the directory itself; what the store throws; the signal's reason
 */
export async function saveDirectory(
  repository: Repository,
  options: SaveDirectoryOptions,
): Promise<SavedTree> {
  const { directory, parent, signal, cacheDirectory, exclude = [], onProgress } = options
  signal?.throwIfAborted()
  const uploads = uploadPacks(repository, signal)
  const report = (progress: SaveProgress): void =>
    onProgress?.({ ...progress, uploadedBytes: uploads.uploadedBytes() })
  const packs = parent?.packs ?? []
  const save: ThreadedSave = {
    job: {
      directory,
      exclude,
      newFiles: options.newFiles,
      keys: repository.keys,
      parent: parent === null ? null : { root: parent.root.node, packs },
    },
    cacheDirectory,
    repositoryId: repository.marker.repository,
    uploads,
    readParent: (request) => readParent(repository, request, signal),
    onProgress: report,
    signal,
  }
  try {
    await recoverDirectory(directory)
    const saved = await saveWhereItFits(save)
    await uploads.settle()
    signal?.throwIfAborted()
    return saved
  } catch (error) {
    await uploads.settle().catch(() => undefined)
    signal?.throwIfAborted()
    throw toWorkspaceError(error, 'save the directory', directory)
  }
}

async function saveWhereItFits(save: ThreadedSave): Promise<SavedTree> {
  try {
    const small = seemsSmall(save)
    if (small !== null) {
      const job = { ...save.job, listed: small.listed }
      return await saveInline({ ...save, job }, MAX_INLINE_ENTRIES, MAX_INLINE_BYTES)
    }
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error
  }
  try {
    return await saveInThread(save)
  } catch (error) {
    if (!(error instanceof ThreadsUnavailable)) throw error
    return saveInline(save, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY)
  }
}

interface SmallTree {
  readonly listed: ListedTree | null
}

/** As far as it can be told at little cost; the walk finds out the rest. `null` for a large tree. */
function seemsSmall({ cacheDirectory, repositoryId, job }: ThreadedSave): SmallTree | null {
  const unlisted = { listed: null }
  if (isAtHomeInThread(cacheDirectory, repositoryId)) return null
  if (hasKnownTree(cacheDirectory, repositoryId)) return unlisted
  const cacheBytes = cacheDirectory === null ? 0 : knownTreeFile(cacheDirectory, repositoryId).bytes()
  if (cacheBytes > 0) return cacheBytes > MAX_INLINE_CACHE_BYTES ? null : unlisted
  const listed = listSmallTree(toByteString(job.directory), MAX_INLINE_ENTRIES, excludeFilter(job.exclude))
  return listed === null ? null : { listed }
}

class TooLarge extends Error {}

/** In this thread, in slices between which the event loop gets its turns. */
async function saveInline(save: ThreadedSave, maxEntries: number, maxBytes: number): Promise<SavedTree> {
  let sliceStart = performance.now()
  const nextSlice = async (): Promise<void> => {
    await setImmediate()
    sliceStart = performance.now()
  }
  let packMemory: SharedArrayBuffer[] | null = null
  const host: SaveHost = {
    pause() {
      save.signal?.throwIfAborted()
      return performance.now() - sliceStart > SLICE_MS ? nextSlice() : undefined
    },
    onWalked(entries, unreadBytes) {
      if (entries > maxEntries || unreadBytes > maxBytes) throw new TooLarge('to be saved in a thread')
    },
    readAheadBytes: READ_AHEAD_BYTES,
    readingThread: () => null,
    warmReadingThread: () => null,
    onProgress: save.onProgress,
    put: (reference, bytes) => save.uploads.put(reference, bytes),
    takeFull: () => (packMemory ??= [...save.uploads.sharedMemory()]).pop() ?? null,
    readParent: save.readParent,
  }
  return useKnownTree(save.cacheDirectory, save.repositoryId, (tree) => runSaveJob(save.job, tree, host))
}
