import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { WorkspaceError } from '../errors.ts'
import { isAmount, isFalseOrObject, isFilledText, isSignal, isText } from '../option-checks.ts'
import { assertStore } from '../store/assert-store.ts'
import { assertObjectKey } from '../store/object-key.ts'
import { assertPutOptions } from '../store/object-options.ts'
import type { ObjectInfo, ObjectStore, StoredObject } from '../store/object-store.ts'
import { readBody } from '../store/read-body.ts'
import { reliableIfRemote, type ReliableStoreOptions } from '../store/reliable-store.ts'
import { withPrefix } from '../store/with-prefix.ts'
import type {
  ArtifactGetOptions,
  ArtifactInfo,
  ArtifactPutOptions,
  ArtifactStore,
  OpenArtifact,
} from './artifact-store.ts'
import {
  MAX_TRAILER_BYTES,
  damaged,
  decodeArtifactTrailer,
  encodeArtifactTrailer,
} from './artifact-trailer.ts'

export interface ArtifactStoreOptions {
  /** What all artifacts' keys in the store start with; a `/` follows. @default 'artifacts' */
  readonly prefix?: string | undefined
  /** The same as that of a bundle store. @default those of `reliableStore` */
  readonly reliability?: ReliableStoreOptions | false | undefined
}

const artifactStoreOptionNames: OptionNames<ArtifactStoreOptions> = {
  prefix: isFilledText,
  reliability: isFalseOrObject,
}

const DEFAULT_CONTENT_TYPE = 'application/octet-stream'
const DEFAULT_MAX_BYTES = 268_435_456
/** How often an artifact may be overwritten between two reads of the same call. */
const READ_ATTEMPTS = 10
/** `list` reads the trailers of this many artifacts at the same time. */
const LIST_AHEAD = 8

type SignalOption = { readonly signal?: AbortSignal | undefined }

const signalOptionNames: OptionNames<SignalOption> = { signal: isSignal }
const getOptionNames: OptionNames<ArtifactGetOptions> = { ...signalOptionNames, maxBytes: isAmount }
const putOptionNames: OptionNames<ArtifactPutOptions> = { ...signalOptionNames, contentType: isText }

/**
 * Keeps artifacts in a store: see `ArtifactStore` for what it guarantees.
 *
 * An artifact is one object, content first, then its SHA-256, length and content type. So a stream of unknown length
 * needs one pass, overwriting is atomic, content and checksum cannot disagree after a crash, and every store will do.
 * Without `rangeReads`, `open` and `list` read whole objects.
 */
export function createArtifactStore(store: ObjectStore, options: ArtifactStoreOptions = {}): ArtifactStore {
  assertKnownOptions('createArtifactStore', options, artifactStoreOptionNames)
  assertStore('createArtifactStore', store)
  const objects = withPrefix(reliableIfRemote(store, options.reliability), options.prefix ?? 'artifacts')
  return {
    async put(key, body, putOptions = {}) {
      assertObjectKey(key)
      assertKnownOptions('put', putOptions, putOptionNames)
      const { contentType = DEFAULT_CONTENT_TYPE, signal } = putOptions
      const source = typeof body === 'string' ? Buffer.from(body) : body
      assertPutOptions(key, { contentType }, source)
      const seal = { size: 0, sha256: '', contentType }
      const stored = await objects.put(key, sealed(readBody(key, source, { signal }), seal), {
        contentType,
        signal,
      })
      return { key, ...seal, modifiedAt: stored.modifiedAt }
    },
    get: (key, getOptions) => getArtifact(objects, key, getOptions),
    open: (key, openOptions) => openArtifact(objects, key, openOptions),
    delete: (key, deleteOptions) => objects.delete(key, deleteOptions),
    list: (prefix = '', listOptions = {}) => listArtifacts(objects, prefix, listOptions),
  }
}

/** The body and then its trailer; fills in the seal on the way. */
async function* sealed(
  body: AsyncIterable<Uint8Array>,
  seal: { size: number; sha256: string; contentType: string },
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for await (const chunk of body) {
    hash.update(chunk)
    seal.size += chunk.length
    yield chunk
  }
  seal.sha256 = hash.digest('hex')
  yield encodeArtifactTrailer(seal)
}

async function getArtifact(
  objects: ObjectStore,
  key: string,
  options: ArtifactGetOptions = {},
): Promise<Uint8Array | null> {
  assertKnownOptions('get', options, getOptionNames)
  const { maxBytes = DEFAULT_MAX_BYTES, signal } = options
  const stored = await objects.get(key, { signal })
  if (stored === null) return null
  if (stored.info.size > maxBytes + MAX_TRAILER_BYTES) {
    await stored.discard()
    throw tooLarge(key, maxBytes)
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of stored.body) chunks.push(chunk)
  const whole = Buffer.concat(chunks)
  if (whole.length !== stored.info.size) throw damaged(key, 'it was cut short')
  const info = decodeArtifactTrailer(key, whole.subarray(-MAX_TRAILER_BYTES), stored.info)
  if (info.size > maxBytes) throw tooLarge(key, maxBytes)
  const content = whole.subarray(0, info.size)
  assertHash(info, createHash('sha256').update(content).digest('hex'))
  return content
}

async function openArtifact(
  objects: ObjectStore,
  key: string,
  options: SignalOption = {},
): Promise<OpenArtifact | null> {
  assertKnownOptions('open', options, signalOptionNames)
  const { signal } = options
  for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt += 1) {
    const object = await objects.head(key, { signal })
    if (object === null) return null
    const info = await readArtifactInfo(objects, object, signal)
    const stored = await objects.get(key, { signal })
    if (info !== null && stored?.info.etag === object.etag)
      return { info, body: verifiedContent(info, stored), discard: () => stored.discard() }
    await stored?.discard()
  }
  const message = `The artifact ${JSON.stringify(key)} is overwritten again and again. Try later.`
  throw new WorkspaceError('CONFLICT', message, { details: { key } })
}

async function* verifiedContent(info: ArtifactInfo, stored: StoredObject): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  let remaining = info.size
  for await (const chunk of stored.body) {
    const content = chunk.subarray(0, Math.min(chunk.length, remaining))
    remaining -= content.length
    hash.update(content)
    if (content.length > 0) yield content
  }
  if (remaining > 0) throw damaged(info.key, 'it was cut short')
  assertHash(info, hash.digest('hex'))
}

async function* listArtifacts(
  objects: ObjectStore,
  prefix: string,
  options: SignalOption,
): AsyncGenerator<ArtifactInfo> {
  assertKnownOptions('list', options, signalOptionNames)
  const { signal } = options
  const ahead: Promise<ArtifactInfo | null>[] = []
  for await (const object of objects.list(prefix, { signal })) {
    const reading = readCurrentInfo(objects, object, signal)
    // It is awaited in its turn; a failure until then must not count as unhandled.
    reading.catch(() => undefined)
    ahead.push(reading)
    if (ahead.length < LIST_AHEAD) continue
    const info = await ahead.shift()
    if (info) yield info
  }
  for (const reading of ahead) {
    const info = await reading
    if (info !== null) yield info
  }
}

/** The information of an artifact that may be overwritten meanwhile; `null` when it is deleted. */
async function readCurrentInfo(
  objects: ObjectStore,
  listed: ObjectInfo,
  signal: AbortSignal | undefined,
): Promise<ArtifactInfo | null> {
  let object: ObjectInfo | null = listed
  for (let attempt = 1; attempt <= READ_ATTEMPTS && object !== null; attempt += 1) {
    const info: ArtifactInfo | null = await readArtifactInfo(objects, object, signal)
    if (info !== null) return info
    object = await objects.head(listed.key, { signal })
  }
  return null
}

/** Reads the trailer; `null` when the object is not this one any more. @throws `CORRUPT` */
async function readArtifactInfo(
  objects: ObjectStore,
  object: ObjectInfo,
  signal: AbortSignal | undefined,
): Promise<ArtifactInfo | null> {
  const { key, size, etag } = object
  if (size === 0) throw damaged(key, 'it is empty')
  const range = objects.capabilities.rangeReads
    ? { start: Math.max(0, size - MAX_TRAILER_BYTES), end: size }
    : undefined
  let stored: StoredObject | null
  try {
    stored = await objects.get(key, { range, signal })
  } catch (error) {
    // A shorter artifact in its place has no such range.
    if (!WorkspaceError.is(error, 'INVALID_INPUT')) throw error
    return null
  }
  if (stored === null) return null
  if (stored.info.etag !== etag) {
    await stored.discard()
    return null
  }
  let tail: Buffer = Buffer.alloc(0)
  for await (const chunk of stored.body) tail = Buffer.concat([tail, chunk]).subarray(-MAX_TRAILER_BYTES)
  return decodeArtifactTrailer(key, tail, object)
}

function assertHash(info: ArtifactInfo, sha256: string): void {
  if (sha256 !== info.sha256) throw damaged(info.key, 'its content does not match its SHA-256')
}

function tooLarge(key: string, maxBytes: number): WorkspaceError {
  const message = `The artifact ${JSON.stringify(key)} has more than ${maxBytes} bytes. Open it as a stream.`
  return new WorkspaceError('QUOTA_EXCEEDED', message, { details: { key, maxBytes } })
}
