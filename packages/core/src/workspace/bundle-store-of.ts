import type { BundleStore } from '../bundle/bundle-store.ts'
import { createBundleStore } from '../bundle/create-bundle-store.ts'
import type { WorkspaceOptions } from './workspace-options.ts'

/** Where a workspace keeps its versions: a bundle store as it is, or one in the store that was given. */
export function bundleStoreOf(store: WorkspaceOptions['store']): BundleStore | undefined {
  if (store === undefined || ('upload' in store && 'save' in store)) return store
  return createBundleStore(store)
}
