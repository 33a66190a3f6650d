import type { ObjectStore } from './object-store.ts'

export function bindStore(store: ObjectStore): ObjectStore {
  return {
    name: store.name,
    capabilities: store.capabilities,
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    put: (key, body, options) => store.put(key, body, options),
    delete: (key, options) => store.delete(key, options),
    list: (prefix, options) => store.list(prefix, options),
  }
}
