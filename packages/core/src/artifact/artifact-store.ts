/**
 * Blobs that a run leaves behind: patches over the size cap, reports, logs. Built over any `ObjectStore` by
 * `createArtifactStore`; a host with a store of its own for such things implements this interface instead.
 *
 * A put overwrites. Reading an absent key gives `null`; deleting one succeeds. What is read is checked against the
 * SHA-256 that was recorded when it was written: damage rejects with `CORRUPT` and is never returned as if whole.
 */
export interface ArtifactStore {
  put(
    key: string,
    body: Uint8Array | string | AsyncIterable<Uint8Array>,
    options?: ArtifactPutOptions,
  ): Promise<ArtifactInfo>
  /** The whole artifact in memory. @throws `CORRUPT`; `QUOTA_EXCEEDED` when it is larger than `maxBytes` */
  get(key: string, options?: ArtifactGetOptions): Promise<Uint8Array | null>
  /** The artifact as a stream, verified at its end: the last step of the iteration throws `CORRUPT` on damage. */
  open(key: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<OpenArtifact | null>
  delete(key: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
  /** In key order. */
  list(prefix?: string, options?: { readonly signal?: AbortSignal | undefined }): AsyncIterable<ArtifactInfo>
}

export interface ArtifactPutOptions {
  /** @default application/octet-stream */
  readonly contentType?: string | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface ArtifactGetOptions {
  /** Refuse to hold more than this in memory; `open` streams any size. @default 268_435_456 (256 MiB) */
  readonly maxBytes?: number | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface OpenArtifact {
  readonly info: ArtifactInfo
  /** Can be read once. */
  readonly body: AsyncIterable<Uint8Array>
  /** For a caller that does not read the body to its end. Never rejects. */
  discard(): Promise<void>
}

export interface ArtifactInfo {
  readonly key: string
  /** In bytes. */
  readonly size: number
  /** Of the content, in lower-case hexadecimal. */
  readonly sha256: string
  readonly modifiedAt: Date
  readonly contentType: string
}
