import type { ObjectInfo, ObjectStore } from '@ws/core'

/**
 * The local R2 has no route to a key with U+2028 (its router's `.` does not match one; R2 itself takes it). This stands
 * in front of its store and writes U+202A instead, which sorts in the same place, so that everything else is checked.
 */
export function withoutLineSeparators(store: ObjectStore): ObjectStore {
  const inner = (key: string): string => key.replaceAll('\u2028', '\u202a')
  const outer = (info: ObjectInfo): ObjectInfo => ({
    ...info,
    key: info.key.replaceAll('\u202a', '\u2028'),
  })
  return {
    ...store,
    capabilities: store.capabilities,
    async get(key, options) {
      const found = await store.get(inner(key), options)
      return found === null ? null : { ...found, info: outer(found.info) }
    },
    async head(key, options) {
      const info = await store.head(inner(key), options)
      return info === null ? null : outer(info)
    },
    put: async (key, body, options) => outer(await store.put(inner(key), body, options)),
    delete: (key, options) => store.delete(inner(key), options),
    async *list(prefix, options) {
      for await (const info of store.list(inner(prefix), options)) yield outer(info)
    },
  }
}
