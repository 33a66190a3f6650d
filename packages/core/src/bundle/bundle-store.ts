import type { BundleFormat, ExtractLimits, ExtractReport } from './bundle.ts'
import type { VersionChange } from './engine/read/diff-versions.ts'
import type { LoadDirectoryOptions, LoadedDirectory, LoadProgress } from './engine/load/load-options.ts'
import type { PruneOptions, PruneResult } from './engine/maintain/prune.ts'
import type { ReadVersionFileOptions, VersionFile } from './engine/read/read-file.ts'
import type { RetentionPolicy } from './engine/maintain/retention-policy.ts'
import type { SaveProgress } from './engine/save/save-directory.ts'
import type { SavedTree } from './engine/save/saved-tree.ts'
import type { RepositoryUsage } from './engine/maintain/usage.ts'
import type { VerifiedVersion, VerifyVersionOptions } from './engine/maintain/verify-version.ts'
import type { VersionReference, VersionStats } from './format/version-record.ts'

/**
 * Versions of whole directories by workspace id, over any `ObjectStore`.
 *
 * A version is immutable and numbered from 1. Saving makes a new one and never overwrites: of two writers that both
 * started from version n exactly one becomes version n + 1, the other gets `CONFLICT` with the winner's number. A save
 * stores what its parent does not have, a load fetches what the directory does not have, a fork stores one record.
 * Absence gives `null` or `false`; outages and damage reject.
 *
 * A call that waits takes a `signal`; when that aborts, the call rejects with its reason. What an `onProgress` throws is
 * what its call rejects with, and ends it in the same way.
 */
export interface BundleStore {
  /**
   * Makes a version out of a tar.zst or tar.gz stream. It is checked (format, safety, limits) before it is committed; what
   * of it a version cannot hold is listed. What the stream itself throws comes back as it is.
   */
  upload(
    id: string,
    bundle: AsyncIterable<Uint8Array> | Uint8Array,
    options?: UploadOptions,
  ): Promise<UploadedVersion>
  /**
   * A version as an archive that GNU tar reads, or `null` when there is none. Its bytes are verified while they are read,
   * which can be done once.
   */
  download(id: string, options?: DownloadOptions): Promise<BundleDownload | null>
  /**
   * Removes a workspace with all its versions; forks of it stay whole. Removing an absent one succeeds. What only its
   * versions needed is freed by `prune`.
   */
  delete(id: string, options?: WaitOptions): Promise<void>
  exists(id: string, options?: WaitOptions): Promise<boolean>
  /** Every workspace, by id in byte order. */
  list(options?: WaitOptions & { readonly prefix?: string | undefined }): AsyncIterable<WorkspaceSummary>

  /** Stores the directory as the next version. */
  save(
    id: string,
    directory: string,
    options: SaveOptions & { readonly message: string },
  ): Promise<WorkspaceSaveResult>
  /** Puts a version into the directory: the old content or the new one, never a mixture; `null` when there is none. */
  load(id: string, directory: string, options?: LoadOptions): Promise<WorkspaceLoadResult | null>
  /**
   * One file of a version, streamed and checked; `null` when the version or the file does not exist.
   * @throws `INVALID_INPUT` for a path that is a directory or a link
   */
  readFile(id: string, path: string, options?: ReadFileOptions): Promise<VersionFile | null>
  /**
   * Reads back every byte that a version needs, and says what is damaged; `null` when there is no such version.
   * Damage does not reject. With `repair`, what is lost is looked for elsewhere and stored anew.
   */
  verify(id: string, options?: VerifyOptions): Promise<VerifiedVersion | null>
  /** Versions, newest first. */
  history(id: string, options?: WaitOptions): AsyncIterable<WorkspaceVersion>
  /** One version, by default the latest; `null` when there is none. */
  version(id: string, options?: VersionOptions): Promise<WorkspaceVersion | null>
  /**
   * What differs from one version to another, in path order; only what differs is read.
   * @throws `NOT_FOUND` when one of them does not exist
   */
  diff(id: string, from: number, to: number, options?: WaitOptions): AsyncIterable<VersionChange>
  /**
   * A new workspace that starts from a version of this one. The two go on independently.
   * @throws `NOT_FOUND` when there is no such version, `ALREADY_EXISTS` when the new id is taken
   */
  fork(id: string, newId: string, options?: ForkVersionOptions): Promise<WorkspaceVersion>
  /** Sets a tag on a version: letters, digits, `.`, `_` and `-`. @throws `NOT_FOUND` when there is no such version */
  tag(id: string, version: number, tag: string, options?: WaitOptions): Promise<void>
  /** Takes a tag from a version. Taking away an absent one succeeds. */
  untag(id: string, version: number, tag: string, options?: WaitOptions): Promise<void>
  /**
   * Removes versions by a policy, then what no version needs any more; see {@link RetentionPolicy} and
   * {@link PruneOptions}. Saves, forks and loads may run beside it.
   * @param policy `null`: only what no version needs
   */
  prune(policy: RetentionPolicy | null, options?: PruneOptions): Promise<PruneResult>
  /** What is stored, and for whom. Reads every record. */
  usage(options?: WaitOptions): Promise<RepositoryUsage>
}

export interface WaitOptions {
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface ReadFileOptions extends ReadVersionFileOptions {
  /** @default the latest */
  readonly version?: number | undefined
}

export interface VerifyOptions extends VerifyVersionOptions {
  /** @default the latest */
  readonly version?: number | undefined
}

export interface VersionOptions extends WaitOptions {
  /** @default the latest */
  readonly version?: number | undefined
}

/** JSON-safe. One saved state. */
export interface WorkspaceVersion extends VersionStats {
  readonly workspaceId: string
  readonly version: number
  /** The version it was made from; `null` for the first. */
  readonly parent: number | null
  /** Where a fork's first version comes from; else `null`. */
  readonly forkedFrom: VersionReference | null
  readonly message: string
  readonly author: string | null
  readonly metadata: Readonly<Record<string, string>>
  /** Sorted. */
  readonly tags: readonly string[]
  /** Whether the workspace is a template from this version on: it can be loaded and forked, not saved to. */
  readonly template: boolean
  /** ISO 8601, UTC. */
  readonly createdAt: string
  /** Files, directories and links. */
  readonly entries: number
  /** Bytes of all packs that it needs; it shares them with other versions. */
  readonly storedBytes: number
}

/** JSON-safe. The version that an upload has made, and what it does not have of the archive. */
export interface UploadedVersion extends WorkspaceVersion {
  /** Entries that are not in the version, and why: devices and pipes, and what this user may not read once it is extracted. */
  readonly skipped: ExtractReport['skipped']
  /** Entries that the version has otherwise than the archive (without a set-uid bit), and how. */
  readonly changed: ExtractReport['changed']
}

export interface WorkspaceSummary {
  readonly workspaceId: string
  readonly latest: WorkspaceVersion
}

/** Message, author, metadata and tags may take 1 MiB together. Half a surrogate pair in them becomes U+FFFD. */
export interface VersionDetails {
  /** @default '' for an upload */
  readonly message?: string | undefined
  /** @default null */
  readonly author?: string | undefined
  /** Small text pairs, kept with the version. @default none */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Names for the version: letters, digits, `.`, `_` and `-`. @default none */
  readonly tags?: readonly string[] | undefined
  /** The version that the content was made from; another latest version gives `CONFLICT`. 0: there must be none. @default the latest */
  readonly parent?: number | undefined
  /**
   * When another writer was first: `fail` rejects with `CONFLICT`; `rebase` makes this the version after the other one
   * without storing anything again. It holds what this directory held; what the other writer changed is not merged in.
   * @default 'fail'
   */
  readonly onConflict?: 'fail' | 'rebase' | undefined
  /** Makes the workspace a template: nothing can be saved on top of this version. @default false */
  readonly template?: boolean | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface SaveOptions extends VersionDetails {
  /** See `CreateBundleOptions.exclude`. @default nothing */
  readonly exclude?: readonly string[] | undefined
  /** A private directory for what makes the next save and load of this directory cheap. @default none: every file is read */
  readonly cacheDirectory?: string | undefined
  readonly onProgress?: ((progress: SaveProgress) => void) | undefined
}

export interface UploadOptions extends VersionDetails {
  /** See `ExtractLimits`. */
  readonly limits?: ExtractLimits | undefined
  /** Told how far it is: first `extract`, then `save`. @default nobody is told */
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined
}

/** JSON-safe. */
export type UploadProgress =
  | { readonly step: 'extract'; readonly entries: number; readonly bytes: number }
  | ({ readonly step: 'save' } & SaveProgress)

export interface LoadOptions extends Omit<LoadDirectoryOptions, 'cacheDirectory'> {
  /** @default the latest */
  readonly version?: number | undefined
  /** A private directory for what makes the next save and load of this directory cheap. @default none: every file is read */
  readonly cacheDirectory?: string | undefined
}

export interface DownloadOptions extends VersionOptions {
  /** @default 'tar.zst' */
  readonly format?: BundleFormat | undefined
}

export interface ForkVersionOptions extends VersionOptions {
  /** @default 'Fork of <id> version <number>' */
  readonly message?: string | undefined
  /** @default null */
  readonly author?: string | undefined
  /** @default none */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Makes the new workspace a template. @default false */
  readonly template?: boolean | undefined
}

export interface BundleDownload extends AsyncIterable<Uint8Array> {
  readonly version: WorkspaceVersion
  readonly format: BundleFormat
  /** For a caller that does not read it to its end. Never rejects. */
  discard(): Promise<void>
}

/** JSON-safe. What a save stored. */
export type SaveReport = Omit<SavedTree, 'root' | 'packs' | 'newPacks' | 'stats'> &
  VersionStats & {
    /** The version that `added`, `changed`, `removed` and `unchanged` compare with; `null`: with nothing. */
    readonly comparedWith: number | null
  }

/** JSON-safe. */
export interface WorkspaceSaveResult {
  readonly version: WorkspaceVersion
  readonly report: SaveReport
}

/** JSON-safe. What a load did; `files` are the files and links that the directory now has of the version. */
export interface LoadReport extends LoadedDirectory {
  readonly files: number
}

/** JSON-safe. */
export interface WorkspaceLoadResult {
  readonly version: WorkspaceVersion
  readonly report: LoadReport
}

export type { LoadProgress, SaveProgress }
