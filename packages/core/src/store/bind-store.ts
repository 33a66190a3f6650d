import type { ObjectStore } from './object-store.ts'
import { storeDirectory } from './store-directory.ts'

/** The store's methods as a plain object, to be spread and partly replaced: a class's are not its own properties. */
export function bindStore(store: ObjectStore): ObjectStore {
  const directory = storeDirectory(store)
  return {
    name: store.name,
    capabilities: store.capabilities,
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    put: (key, body, options) => store.put(key, body, options),
    delete: (key, options) => store.delete(key, options),
    list: (prefix, options) => store.list(prefix, options),
    ...(directory !== null && { directory }),
  }
}
