import type {
  BundleFormat,
  BundleProgress,
  BundleReport,
  ExtractBundleOptions,
  ExtractReport,
} from './bundle.ts'

/**
 * Whole directories by workspace id, over any `ObjectStore`.
 *
 * A version is immutable and numbered from 1. Saving makes a new one and never overwrites: of two writers that both
 * started from version n exactly one becomes version n + 1, the other gets `CONFLICT` with the winner's number
 * (on a store whose `createIfAbsent` is only `checked`, a lost race is found by reading back, and reported).
 * Absence gives `null` or `false`; outages and damage reject.
 */
export interface BundleStore {
  /** Makes a version out of a tar.zst or tar.gz stream. It is checked (format, safety, limits) before it is committed. */
  upload(
    id: string,
    bundle: AsyncIterable<Uint8Array> | Uint8Array,
    options?: SaveOptions,
  ): Promise<WorkspaceVersion>
  /** A version as an archive, or `null` when there is none. Its bytes are verified while they are read. */
  download(id: string, options?: DownloadOptions): Promise<BundleDownload | null>
  /** Removes a workspace with all its versions. Removing an absent one succeeds. */
  delete(id: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  exists(id: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<boolean>
  /** Every workspace, by id in byte order. */
  list(options?: {
    readonly prefix?: string | undefined
    readonly signal?: AbortSignal | undefined
  }): AsyncIterable<WorkspaceSummary>

  /** Stores the directory as the next version. */
  save(
    id: string,
    directory: string,
    options: SaveOptions & { readonly message: string },
  ): Promise<WorkspaceSaveResult>
  /** Puts a version into the directory: the old content or the new one, never a mixture; `null` when there is none. */
  load(id: string, directory: string, options?: LoadOptions): Promise<WorkspaceLoadResult | null>
  /** Versions, newest first. */
  history(
    id: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<WorkspaceVersion>
}

/** JSON-safe. One saved state. */
export interface WorkspaceVersion {
  readonly workspaceId: string
  readonly version: number
  /** The version it was made from; `null` for the first. */
  readonly parent: number | null
  readonly message: string
  readonly author: string | null
  readonly metadata: Readonly<Record<string, string>>
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly archive: { readonly format: BundleFormat; readonly bytes: number; readonly sha256: string }
  readonly entries: number
  readonly contentBytes: number
}

export interface WorkspaceSummary {
  readonly workspaceId: string
  readonly latest: WorkspaceVersion
}

export interface SaveOptions {
  /** @default '' for an upload */
  readonly message?: string | undefined
  /** @default null */
  readonly author?: string | undefined
  /** Small text pairs, kept with the version. @default none */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** The version that the content was made from; another latest version gives `CONFLICT`. 0: there must be none. @default the latest */
  readonly parent?: number | undefined
  /** See `CreateBundleOptions.exclude`. @default nothing */
  readonly exclude?: readonly string[] | undefined
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface LoadOptions extends Pick<ExtractBundleOptions, 'mode' | 'limits' | 'onProgress' | 'signal'> {
  /** @default the latest */
  readonly version?: number | undefined
}

export interface DownloadOptions {
  /** @default the latest */
  readonly version?: number | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface BundleDownload extends AsyncIterable<Uint8Array> {
  readonly version: WorkspaceVersion
  /** For a caller that does not read it to its end. Never rejects. */
  discard(): Promise<void>
}

/** JSON-safe. */
export interface WorkspaceSaveResult {
  readonly version: WorkspaceVersion
  readonly report: BundleReport
}

/** JSON-safe. */
export interface WorkspaceLoadResult {
  readonly version: WorkspaceVersion
  readonly report: ExtractReport
}
