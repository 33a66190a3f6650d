import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../errors.ts'
import { assertStore } from './assert-store.ts'
import { MAX_KEY_BYTES, assertObjectKey } from './object-key.ts'
import type { ObjectInfo, ObjectStore } from './object-store.ts'
import { innerSignedUrl, wrapStore } from './wrap-store.ts'

/**
 * The part of a store below a prefix, as a store of its own: every key is put behind `prefix` + `/`, and no key can
 * leave it, because a key that could is not legal. `capabilities.maxKeyBytes` and `maxKeySegments` shrink by the prefix.
 *
 * @param prefix one or more key segments, with or without a `/` at the end
 * @throws `INVALID_INPUT` for a prefix that is not a legal key, or leaves less than 1 byte for keys
 */
export function withPrefix(store: ObjectStore, prefix: string): ObjectStore {
  assertStore('withPrefix', store)
  if (typeof prefix !== 'string') assertObjectKey(prefix)
  const folder = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  assertObjectKey(folder)
  const base = `${folder}/`
  const maxKeyBytes = (store.capabilities.maxKeyBytes ?? MAX_KEY_BYTES) - Buffer.byteLength(base)
  if (maxKeyBytes < 1)
    throw new WorkspaceError('INVALID_INPUT', 'The prefix is too long: it leaves no room for keys.', {
      details: { prefix },
    })

  const { maxKeySegments } = store.capabilities
  const segments =
    maxKeySegments === undefined ? {} : { maxKeySegments: maxKeySegments - folder.split('/').length }

  const outer = (info: ObjectInfo): ObjectInfo => ({ ...info, key: info.key.slice(base.length) })
  const inner = (key: string): string => {
    assertLength(key, maxKeyBytes)
    return base + key
  }
  return wrapStore(store, {
    name: store.name,
    capabilities: { ...store.capabilities, maxKeyBytes, ...segments },
    async get(key, options) {
      const found = await store.get(inner(key), options)
      if (found === null) return null
      const { info, body, checksum } = found
      return { info: outer(info), body, checksum, discard: () => found.discard() }
    },
    async head(key, options) {
      const info = await store.head(inner(key), options)
      return info === null ? null : outer(info)
    },
    async put(key, body, options) {
      return outer(await store.put(inner(key), body, options))
    },
    async delete(key, options) {
      await store.delete(inner(key), options)
    },
    async *list(within, options) {
      assertLength(within, maxKeyBytes)
      // Where to start is a position, not a key: the contract takes any string there, also an empty one.
      const startAfter = options?.startAfter ? base + options.startAfter : undefined
      for await (const info of store.list(base + within, { ...options, startAfter })) yield outer(info)
    },
    async signedUrl(key, options) {
      return innerSignedUrl(store)(inner(key), options)
    },
  })
}

function assertLength(key: string, maxKeyBytes: number): void {
  const bytes = Buffer.byteLength(key)
  if (bytes <= maxKeyBytes) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The object key is ${bytes} bytes long; below this prefix at most ${maxKeyBytes} are allowed.`,
    { details: { key } },
  )
}
