import { defineStore } from './define-store.ts'
import type { ObjectStore } from './object-store.ts'
import { storeDirectory } from './store-directory.ts'

/**
 * Makes a store out of a layer around another store. A layer must name every method of the contract, so that a
 * forgotten one does not compile; `signedUrl` is left off where the inner store has none, or the layer claims none. A call
 * that cannot be meant is refused before the layer looks at it.
 */
export function wrapStore(inner: ObjectStore, layer: Required<ObjectStore>): ObjectStore {
  const directory = storeDirectory(inner)
  const wrapped = Object.assign(
    defineStore(withoutMissing(inner, layer)),
    directory === null ? {} : { directory },
  )
  if (isReliable(inner)) markReliable(wrapped)
  return wrapped
}

const reliable = new WeakSet<ObjectStore>()

/** Whether a `reliableStore` is somewhere below. */
export function isReliable(store: ObjectStore): boolean {
  return reliable.has(store)
}

export function markReliable(store: ObjectStore): void {
  reliable.add(store)
}

function withoutMissing(inner: ObjectStore, layer: Required<ObjectStore>): ObjectStore {
  if (inner.signedUrl !== undefined && layer.capabilities.signedUrls) return layer
  const { signedUrl: _, ...withoutSignedUrl } = layer
  return withoutSignedUrl
}

/** The inner store's `signedUrl`. Only reached from a layer's own `signedUrl`, which exists only when this does. */
export function innerSignedUrl(inner: ObjectStore): NonNullable<ObjectStore['signedUrl']> {
  if (inner.signedUrl === undefined) throw new TypeError(`The store ${inner.name} signs no URLs.`)
  return inner.signedUrl.bind(inner)
}
