/**
 * Where bytes live. A storage adapter implements this interface and nothing else; bundles, artifacts and
 * everything above them are core code over it. The same guarantees are runnable checks in `@ws/conformance`.
 *
 * What every store guarantees:
 * - **Atomic put.** A key shows its old content or the whole new content, never a part, also when the source
 *   stream fails, the call is aborted, or the process is killed midway. A put that rejects with a
 *   `CONFLICT` or `INVALID_INPUT` has stored nothing. (A put that rejects with `UNAVAILABLE`, `TIMEOUT` or the
 *   reason of an abort may or may not have been applied: read before you repeat it.)
 * - **Read after write.** Once a put or delete has resolved, `get` and `head` show it.
 * - **Absence is certain.** `null` means that the store answered "no such key". Missing buckets, denied access,
 *   outages and timeouts reject.
 * - **Keys** follow the grammar of `assertObjectKey`; a call with another key rejects with `INVALID_INPUT`
 *   before anything is sent. No key can reach outside the store's root or prefix.
 * - **Errors** are `WorkspaceError`s. A call whose `signal` aborts rejects with the signal's reason.
 *
 * Callers may repeat `get`, `head`, `delete` and `list` freely, and `put` when it carries no condition.
 */
export interface ObjectStore {
  /** What messages call this store: `memory`, `local`, `s3`. */
  readonly name: string
  readonly capabilities: StoreCapabilities

  /**
   * Reads one object, or `null` when there is none. The body must be read to its end or be discarded.
   * @throws `INVALID_INPUT` for a range that starts at or past the end of the object.
   */
  get(key: string, options?: GetOptions): Promise<StoredObject | null>

  /** What `get` would say about the object, without its bytes; `null` when there is none. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo | null>

  /**
   * Stores the whole body under the key, replacing what was there, unless a condition forbids it.
   * The body is read once, and stopped (its iterator's `return`) when the put fails midway. A body of bytes is the
   * caller's again once the put has resolved: the store keeps no reference to it, so that its memory can be used anew. A
   * source that throws makes the put reject with that same error, and nothing is stored. The same holds for a signal that
   * aborts before a stream has been read to its end; one that aborts later, or while bytes are put, may find the put done.
   * @throws `CONFLICT` when `ifAbsent` or `ifMatch` does not hold (`ifMatch` on an absent key does not); details hold
   * `key` and `condition`. Both conditions together are `INVALID_INPUT`.
   * @throws `UNSUPPORTED` for a condition that the store cannot honour at all. It never ignores one.
   * @throws `INVALID_INPUT` when `size` is given and the body is longer or shorter.
   */
  put(key: string, body: ObjectBody, options?: PutOptions): Promise<ObjectInfo>

  /** Removes the object. Removing an absent key succeeds. */
  delete(key: string, options?: CallOptions): Promise<void>

  /**
   * Every object whose key starts with `prefix` (a plain string prefix, not a folder; `''` lists all), in
   * ascending order of the keys' UTF-8 bytes. Objects that are put or deleted meanwhile may or may not show;
   * every other object shows exactly once.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectInfo>

  /** A URL that allows one kind of call on one key for a while. Present if and only if `capabilities.signedUrls`. */
  signedUrl?(key: string, options: SignedUrlOptions): Promise<URL>
}

/** What a store can do, as a public claim. A claim is only as strong as what the service really enforces. */
export interface StoreCapabilities {
  /**
   * `'atomic'`: of any number of racing `ifAbsent` puts exactly one succeeds.
   * `'checked'`: the condition is tested first, but racing writers may all succeed.
   * `false`: `ifAbsent` rejects with `UNSUPPORTED`.
   */
  readonly createIfAbsent: 'atomic' | 'checked' | false
  /** The same for `ifMatch`. */
  readonly replaceIfMatch: 'atomic' | 'checked' | false
  /** Whether `get` honours `range`; else it rejects with `UNSUPPORTED`. */
  readonly rangeReads: boolean
  /** Whether `contentType` and `metadata` come back from `get` and `head`. */
  readonly metadata: boolean
  readonly signedUrls: boolean
  /**
   * Whether calls go over a network, where any of them may fail for a while: `createBundleStore`, `createArtifactStore` and
   * `openStore` make such a store a `reliableStore`. @default false
   */
  readonly remote?: boolean | undefined
  /** Whether objects are held in the memory of this process and are gone with it. @default false */
  readonly volatile?: boolean | undefined
  /**
   * Whether bytes that change on their way are refused before they replace an object. Else the put rejects with
   * `CORRUPT` too and takes away what it stored, but what was there before is gone. @default true
   */
  readonly checksummedUploads?: boolean | undefined
  /** The longest key in UTF-8 bytes. Less than the default under a prefix. @default 900 */
  readonly maxKeyBytes?: number | undefined
  /** The most segments that a key may have. Less under a prefix. @default as many as fit into `maxKeyBytes` */
  readonly maxKeySegments?: number | undefined
}

/** One chunk, or a stream of chunks. A stream is read once, with no more than a few chunks in memory. */
export type ObjectBody = Uint8Array | AsyncIterable<Uint8Array>

export interface ObjectInfo {
  readonly key: string
  /** In bytes. */
  readonly size: number
  /** Opaque; changes whenever the content may have changed. Compare it for equality only. */
  readonly etag: string
  readonly modifiedAt: Date
  readonly contentType?: string
  /** What the writer gave; `list` may leave it empty. */
  readonly metadata: Readonly<Record<string, string>>
}

export interface StoredObject {
  /** About the whole object, also when only a range of it is read. */
  readonly info: ObjectInfo
  /** The bytes asked for. Can be read once. Rejects when the stored bytes turn out to be short or damaged. */
  readonly body: AsyncIterable<Uint8Array>
  /**
   * For wrappers that put a body together from several reads, as `withRetry` does: compares all bytes with the checksum
   * that the service has for the object. `body` gives it each chunk that it passes on, and asks it at its end; whoever goes
   * on behind a break gives it the rest, and asks instead. @default where only a range is read, or no checksum is known
   */
  readonly checksum?: BodyChecksum | undefined
  /** Frees what the body holds open, for a caller that does not read it to its end. Never rejects. */
  discard(): Promise<void>
}

/** `bodyChecksum` makes one. */
export interface BodyChecksum {
  /** How many it was given so far. */
  readonly bytes: number
  update(chunk: Uint8Array): void
  /** What is wrong with all that it was given, or `null`. Nothing may be given to it afterwards. */
  problem(): string | null
}

export interface CallOptions {
  /** Cancels the call. @default never */
  readonly signal?: AbortSignal | undefined
}

/** Bytes from `start` up to, not including, `end`; an `end` past the object's end is cut to it. */
export interface ByteRange {
  readonly start: number
  /** @default the end of the object */
  readonly end?: number | undefined
}

export interface GetOptions extends CallOptions {
  /** @default the whole object */
  readonly range?: ByteRange | undefined
  /**
   * The caller is done with each chunk when it asks for the next one, ends the iteration or discards the body. The store
   * may use the memory anew from then on; it need not. @default false: chunks stay as they are
   */
  readonly reusesChunks?: boolean | undefined
}

export interface PutOptions extends CallOptions {
  /** Store only if the key has no object. @default false */
  readonly ifAbsent?: boolean | undefined
  /** Store only if the object's etag is still this one. Not together with `ifAbsent`. @default no condition */
  readonly ifMatch?: string | undefined
  /**
   * Send the one request that carries a small body and nothing else: a condition holds as far as the service itself keeps it,
   * with no look beforehand, and what is stored is not looked at afterwards, so that `etag` and `modifiedAt` of the answer
   * need not be those of the object. For callers that look by themselves. A store may do more. @default false
   */
  readonly bare?: boolean | undefined
  /** Length of the body in bytes, when it is known: enforced, and lets some stores stream better. @default unknown */
  readonly size?: number | undefined
  /** @default application/octet-stream */
  readonly contentType?: string | undefined
  /** Small text pairs; names are lower-case letters, digits and `-`, values printable ASCII, 2 KiB in all. @default none */
  readonly metadata?: Readonly<Record<string, string>> | undefined
  /** Called as the body is sent, with the bytes so far. @default nobody */
  readonly onProgress?: ((bytes: number) => void) | undefined
}

export interface ListOptions extends CallOptions {
  /** Only keys after this position in byte order; it need not be the key of an object. @default from the beginning */
  readonly startAfter?: string | undefined
}

export interface SignedUrlOptions extends CallOptions {
  readonly method: 'GET' | 'PUT'
  /** How long the URL works, in milliseconds. @default 900_000 */
  readonly expiresInMs?: number | undefined
}
