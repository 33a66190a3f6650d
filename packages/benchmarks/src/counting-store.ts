import type { ObjectStore } from '@ws/core'

export interface StoreCalls {
  readonly gets: number
  readonly heads: number
  readonly puts: number
  readonly lists: number
  readonly deletes: number
}

export interface CountingStore {
  readonly store: ObjectStore
  /** The calls since the last time this was asked. */
  readonly takeCalls: () => StoreCalls
}

export function countingStore(inner: ObjectStore): CountingStore {
  const none = { gets: 0, heads: 0, puts: 0, lists: 0, deletes: 0 }
  let calls = { ...none }
  return {
    store: {
      name: inner.name,
      capabilities: inner.capabilities,
      get: (key, options) => ((calls.gets += 1), inner.get(key, options)),
      head: (key, options) => ((calls.heads += 1), inner.head(key, options)),
      put: (key, body, options) => ((calls.puts += 1), inner.put(key, body, options)),
      delete: (key, options) => ((calls.deletes += 1), inner.delete(key, options)),
      list: (prefix, options) => ((calls.lists += 1), inner.list(prefix, options)),
    },
    takeCalls() {
      const taken = calls
      calls = { ...none }
      return taken
    },
  }
}
