import type { ObjectStore } from '@ws/core'

/** What a process sees of a store that it dies at: nothing any more. */
export class Died extends Error {}

/**
 * A store at whose k-th call the process dies, before the call has an effect or after it. Every later call fails too.
 */
export function dyingStore(
  store: ObjectStore,
  death: { readonly call: number; readonly isApplied: boolean },
): ObjectStore {
  let calls = 0
  const call = async <T>(effect: () => Promise<T>): Promise<T> => {
    calls += 1
    if (calls > death.call) throw new Died('The process is dead.')
    if (calls < death.call) return effect()
    if (death.isApplied) await effect()
    throw new Died('The process dies here.')
  }
  return {
    name: store.name,
    capabilities: { ...store.capabilities, signedUrls: false },
    get: (key, options) => call(() => store.get(key, options)),
    head: (key, options) => call(() => store.head(key, options)),
    put: (key, body, options) => call(() => store.put(key, body, options)),
    delete: (key, options) => call(() => store.delete(key, options)),
    async *list(prefix, options) {
      await call(async () => undefined)
      yield* store.list(prefix, options)
    },
  }
}
