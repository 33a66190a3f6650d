import { Buffer } from 'node:buffer'
import {
  WorkspaceError,
  assertObjectKey,
  type ObjectBody,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  type StoreCapabilities,
} from '@ws/core'
import { memoryStore } from '@ws/store-memory'

/** A memory store with something replaced, which sees the sound store behind it. */
export function broken(replace: (store: ObjectStore) => Partial<ObjectStore>): () => ObjectStore {
  return () => {
    const store = memoryStore()
    return { ...store, ...replace(store) }
  }
}

/** A store that treats some keys as another one. */
export function renaming(
  rename: (key: string) => string,
  only: readonly ('get' | 'head' | 'put' | 'delete' | 'list')[] = ['get', 'head', 'put', 'delete', 'list'],
): () => ObjectStore {
  return broken((store) => {
    const named = (method: (typeof only)[number], key: string): string =>
      only.includes(method) ? rename(key) : key
    return {
      get: (key, options) => store.get(named('get', key), options),
      head: (key, options) => store.head(named('head', key), options),
      put: (key, body, options) => store.put(named('put', key), body, options),
      delete: (key, options) => store.delete(named('delete', key), options),
    }
  })
}

export type Put = ObjectStore['put']

/** A store whose put changes what it was told before it does it. */
export function puttingOther(
  change: (
    body: ObjectBody,
    options: PutOptions,
    key: string,
    store: ObjectStore,
  ) => readonly [ObjectBody, PutOptions] | Promise<readonly [ObjectBody, PutOptions]>,
): () => ObjectStore {
  return broken((store) => ({
    async put(key, body, options = {}) {
      assertObjectKey(key)
      options.signal?.throwIfAborted()
      // An endless or stuck source is the business of other mistakes.
      if (options.signal !== undefined || options.size === 10_500) return store.put(key, body, options)
      const [otherBody, otherOptions] = await change(body, options, key, store)
      return store.put(key, otherBody, otherOptions)
    },
  }))
}

/** A store whose get gives other bytes. */
export function gettingOther(change: (bytes: Buffer, key: string) => Uint8Array): () => ObjectStore {
  return broken((store) => ({
    async get(key, options) {
      const found = await store.get(key, options)
      if (found === null) return null
      const bytes = change(await gather(found.body), key)
      return { ...found, body: streamOf(bytes) }
    },
  }))
}

export function listingOther(
  change: (infos: ObjectInfo[], prefix: string, startAfter: string | undefined) => ObjectInfo[],
): () => ObjectStore {
  return broken((store) => ({
    async *list(prefix, options) {
      const infos: ObjectInfo[] = []
      for await (const info of store.list(prefix, options)) infos.push(info)
      for (const info of change(infos, prefix, options?.startAfter)) {
        options?.signal?.throwIfAborted()
        yield info
      }
    },
  }))
}

export function claiming(
  claims: Partial<StoreCapabilities>,
  make: () => ObjectStore = memoryStore,
): () => ObjectStore {
  return () => {
    const store = make()
    return { ...store, capabilities: { ...store.capabilities, ...claims } }
  }
}

export async function gather(body: ObjectBody): Promise<Buffer> {
  if (body instanceof Uint8Array) return Buffer.from(body)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(Uint8Array.from(chunk))
  return Buffer.concat(chunks)
}

export async function* streamOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

/** What the source gave before it failed, and the failure. */
export async function gatherUntilFailure(
  body: ObjectBody,
): Promise<{ bytes: Buffer; failure: { error: unknown } | null }> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of body instanceof Uint8Array ? streamOf(body) : body)
      chunks.push(Uint8Array.from(chunk))
  } catch (error) {
    return { bytes: Buffer.concat(chunks), failure: { error } }
  }
  return { bytes: Buffer.concat(chunks), failure: null }
}

export function without(options: PutOptions, ...names: readonly (keyof PutOptions)[]): PutOptions {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !names.some((each) => each === name)))
}

export function outage(): WorkspaceError {
  return new WorkspaceError('UNAVAILABLE', 'The service is down.')
}
