import { WorkspaceError } from '../errors.ts'
import { assertStore } from './assert-store.ts'
import type { ObjectStore } from './object-store.ts'
import { innerSignedUrl, wrapStore } from './wrap-store.ts'

/**
 * The same store without the power to change it: `put`, `delete` and a `signedUrl` for `PUT` reject with
 * `ACCESS_DENIED`, and no body is read. Everything else passes through.
 */
export function readOnly(store: ObjectStore): ObjectStore {
  assertStore('readOnly', store)
  return wrapStore(store, {
    name: store.name,
    capabilities: store.capabilities,
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    list: (prefix, options) => store.list(prefix, options),
    async put(key) {
      throw refused('put', key)
    },
    async delete(key) {
      throw refused('delete', key)
    },
    async signedUrl(key, options) {
      if (options.method !== 'GET') throw refused(`sign a ${options.method} URL for`, key)
      return innerSignedUrl(store)(key, options)
    },
  })
}

function refused(action: string, key: string): WorkspaceError {
  return new WorkspaceError(
    'ACCESS_DENIED',
    `Cannot ${action} ${JSON.stringify(key)}: the store was opened read-only.`,
    { details: { key } },
  )
}
