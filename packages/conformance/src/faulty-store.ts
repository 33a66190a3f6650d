import type { ObjectStore } from '@ws/core'

export type StoreMethod = Exclude<keyof ObjectStore, 'name' | 'capabilities'>

/** Every method of the contract: one that is missing here does not compile. */
export const storeMethods = Object.keys({
  get: true,
  head: true,
  put: true,
  delete: true,
  list: true,
  signedUrl: true,
} satisfies Record<StoreMethod, true>) as readonly StoreMethod[]

export interface StoreCall {
  readonly method: StoreMethod
  /** The key, or the prefix of a list. */
  readonly key: string
  /** How many calls of this method there were, this one included. */
  readonly count: number
  /** `result`: when what the inner store gave comes back; an error thrown here is one after the fact. */
  readonly moment: 'before' | 'result'
}

/**
 * The same store, but `onCall` is asked before each call and again when it is done: what it throws, or rejects with, is
 * what the caller gets. Of a list and of the body of a `get`, each item counts as a `result`. For tests of what lies
 * above a store.
 */
export function faultyStore(
  store: ObjectStore,
  onCall: (call: StoreCall) => void | Promise<void>,
): ObjectStore {
  const counts = new Map<StoreMethod, number>()
  const begin = (method: StoreMethod, key: string): ((moment: StoreCall['moment']) => Promise<void>) => {
    const count = (counts.get(method) ?? 0) + 1
    counts.set(method, count)
    return async (moment) => {
      await onCall({ method, key, count, moment })
    }
  }
  const faulty: Partial<Record<StoreMethod, unknown>> = {}
  for (const method of storeMethods) {
    const inner = store[method]?.bind(store) as ((key: string, ...rest: unknown[]) => unknown) | undefined
    if (inner === undefined) continue
    faulty[method] =
      method === 'list'
        ? async function* (key: string, ...rest: unknown[]) {
            const tell = begin(method, key)
            await tell('before')
            yield* tellingItems(inner(key, ...rest) as AsyncIterable<unknown>, tell)
          }
        : async (key: string, ...rest: unknown[]) => {
            const tell = begin(method, key)
            await tell('before')
            const result = await inner(key, ...rest)
            if (method !== 'get' || result === null) {
              await tell('result')
              return result
            }
            const found = result as NonNullable<Awaited<ReturnType<ObjectStore['get']>>>
            const body = tellingItems(found.body, tell)
            return { info: found.info, body, checksum: found.checksum, discard: () => found.discard() }
          }
  }
  return { name: store.name, capabilities: store.capabilities, ...faulty } as ObjectStore
}

async function* tellingItems<T>(
  items: AsyncIterable<T>,
  tell: (moment: StoreCall['moment']) => Promise<void>,
): AsyncGenerator<T> {
  for await (const item of items) {
    await tell('result')
    yield item
  }
}
