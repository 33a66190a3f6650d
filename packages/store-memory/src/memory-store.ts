import { randomUUID } from 'node:crypto'
import {
  assertKnownOptions,
  compareKeys,
  conditionFailed,
  defineStore,
  readBody,
  resolveByteRange,
  type ByteRange,
  type ObjectBody,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  type StoredObject,
} from '@ws/core'

interface Entry {
  readonly bytes: Uint8Array
  readonly info: ObjectInfo
}

/** Bytes are given out in pieces of this size, as stores do that read from a disk or a network. */
const CHUNK_BYTES = 1_048_576

/**
 * A store that holds its objects in this process's memory and is gone with it: for tests, examples and scratch work.
 *
 * It keeps the whole contract of `ObjectStore`, both conditions `'atomic'`, but signs no URLs. Bytes are copied on the
 * way in and on the way out, so neither side can change the other's. Each call makes a separate, empty store.
 * @throws `INVALID_INPUT` for any option: it has none
 */
export function memoryStore(options: Record<string, never> = {}): ObjectStore {
  assertKnownOptions('memoryStore', options, {})
  const entries = new Map<string, Entry>()
  // Etags must differ between stores and generations, also for equal bytes.
  const storeId = randomUUID()
  let generation = 0
  let sortedKeys: readonly string[] | null = null

  return defineStore({
    name: 'memory',
    capabilities: {
      createIfAbsent: 'atomic',
      replaceIfMatch: 'atomic',
      rangeReads: true,
      metadata: true,
      signedUrls: false,
      volatile: true,
    },

    async get(key, options) {
      const entry = entries.get(key)
      return entry === undefined ? null : openEntry(entry, options.range, options.signal)
    },

    async head(key) {
      const entry = entries.get(key)
      return entry === undefined ? null : copyInfo(entry.info)
    },

    async put(key, body, options) {
      assertConditions(key, entries.get(key), options)
      const bytes = await collect(key, body, options)
      // From here to the end nothing waits, so the test and the change are one step.
      options.signal?.throwIfAborted()
      assertConditions(key, entries.get(key), options)
      if (!entries.has(key)) sortedKeys = null
      generation += 1
      const info: ObjectInfo = {
        key,
        size: bytes.length,
        etag: `${storeId}-${generation}`,
        modifiedAt: new Date(),
        contentType: options.contentType ?? 'application/octet-stream',
        metadata: { ...options.metadata },
      }
      entries.set(key, { bytes, info })
      return copyInfo(info)
    },

    async delete(key) {
      if (entries.delete(key)) sortedKeys = null
    },

    async *list(prefix, { startAfter, signal }) {
      sortedKeys ??= [...entries.keys()].sort(compareKeys)
      const keys = sortedKeys
      for (let index = firstIndex(keys, prefix, startAfter); index < keys.length; index += 1) {
        signal?.throwIfAborted()
        const key = keys[index] ?? ''
        if (!key.startsWith(prefix)) return
        const entry = entries.get(key)
        if (entry !== undefined) yield copyInfo(entry.info)
      }
    },
  })
}

function openEntry(entry: Entry, range: ByteRange | undefined, signal?: AbortSignal): StoredObject {
  const { start, end } =
    range === undefined
      ? { start: 0, end: entry.bytes.length }
      : resolveByteRange(entry.info.key, range, entry.bytes.length)
  async function* read(): AsyncGenerator<Uint8Array> {
    for (let position = start; position < end; position += CHUNK_BYTES) {
      signal?.throwIfAborted()
      yield entry.bytes.slice(position, Math.min(position + CHUNK_BYTES, end))
    }
  }
  const body = read()
  return {
    info: copyInfo(entry.info),
    body,
    async discard() {
      await body.return(undefined)
    },
  }
}

async function collect(key: string, body: ObjectBody, options: PutOptions): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of readBody(key, body, options)) {
    chunks.push(new Uint8Array(chunk))
    length += chunk.length
  }
  if (chunks.length === 1 && chunks[0] !== undefined) return chunks[0]
  const bytes = new Uint8Array(length)
  let position = 0
  for (const chunk of chunks) {
    bytes.set(chunk, position)
    position += chunk.length
  }
  return bytes
}

function assertConditions(key: string, current: Entry | undefined, options: PutOptions): void {
  if (options.ifAbsent === true && current !== undefined) throw conditionFailed(key, 'ifAbsent')
  if (options.ifMatch !== undefined && current?.info.etag !== options.ifMatch)
    throw conditionFailed(key, 'ifMatch')
}

function firstIndex(keys: readonly string[], prefix: string, startAfter: string | undefined): number {
  const isBefore = (key: string): boolean =>
    compareKeys(key, prefix) < 0 || (startAfter !== undefined && compareKeys(key, startAfter) <= 0)
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(keys[middle] ?? '')) low = middle + 1
    else high = middle
  }
  return low
}

function copyInfo(info: ObjectInfo): ObjectInfo {
  return { ...info, modifiedAt: new Date(info.modifiedAt), metadata: { ...info.metadata } }
}
