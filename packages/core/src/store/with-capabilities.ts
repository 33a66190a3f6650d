import { WorkspaceError } from '../errors.ts'
import { assertStore } from './assert-store.ts'
import type { ObjectStore, StoreCapabilities } from './object-store.ts'
import { innerSignedUrl, wrapStore } from './wrap-store.ts'

type Condition = StoreCapabilities['createIfAbsent']

const strength: Readonly<Record<`${Condition}`, number>> = { false: 0, checked: 1, atomic: 2 }

/** The weaker of two claims about a condition. */
export function weakerCondition(left: Condition, right: Condition): Condition {
  return strength[`${left}`] <= strength[`${right}`] ? left : right
}

/**
 * The same store with weaker claims, and kept to them: what is no longer claimed rejects with `UNSUPPORTED` before
 * anything is sent. A claim that is stronger than the store's own is cut to it.
 */
export function withCapabilities(store: ObjectStore, claims: Partial<StoreCapabilities>): ObjectStore {
  assertStore('withCapabilities', store)
  const own = store.capabilities
  const given = { ...own, ...claims }
  const capabilities: StoreCapabilities = {
    ...own,
    createIfAbsent: weakerCondition(own.createIfAbsent, given.createIfAbsent),
    replaceIfMatch: weakerCondition(own.replaceIfMatch, given.replaceIfMatch),
    rangeReads: own.rangeReads && given.rangeReads,
    metadata: own.metadata && given.metadata,
    signedUrls: own.signedUrls && given.signedUrls,
  }
  return wrapStore(store, {
    name: store.name,
    capabilities,
    async get(key, options) {
      if (options?.range !== undefined && !capabilities.rangeReads)
        throw unsupported(store, key, 'read ranges')
      return store.get(key, options)
    },
    head: (key, options) => store.head(key, options),
    async put(key, body, options) {
      if (options?.ifAbsent === true && capabilities.createIfAbsent === false)
        throw unsupported(store, key, 'create an object only if it is absent')
      if (options?.ifMatch !== undefined && capabilities.replaceIfMatch === false)
        throw unsupported(store, key, 'replace an object only if its etag is still the same')
      return store.put(key, body, options)
    },
    delete: (key, options) => store.delete(key, options),
    list: (prefix, options) => store.list(prefix, options),
    signedUrl: (key, options) => innerSignedUrl(store)(key, options),
  })
}

function unsupported(store: ObjectStore, key: string, what: string): WorkspaceError {
  return new WorkspaceError('UNSUPPORTED', `The store ${store.name} cannot ${what}.`, {
    details: { key, store: store.name },
  })
}
