import type { VersionRecord } from '../format/version-record.ts'
import type { Repository } from './repository.ts'
import type { SavedTree } from './saved-tree.ts'

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
  readonly bytesDone: number
  readonly bytesExpected: number | null
  readonly uploadedBytes: number
}

/**
 * Puts what the store lacks of the directory into it, as packs. Commits nothing: without a version record that names
 * the packs they are garbage. The directory is only read.
 */
export declare function saveDirectory(
  repository: Repository,
  options: SaveDirectoryOptions,
): Promise<SavedTree>
