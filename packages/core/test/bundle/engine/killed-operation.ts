/** Does one thing to a store on disk, in a process that is killed at one of its steps; see `kill-at-step.ts`. */
import { localStore } from '@ws/store-local'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { Workspace } from '../../../src/workspace/workspace.ts'

declare const startCounting: () => void
declare const reportCount: () => void

const [operation = '', base = ''] = process.argv.slice(2)
const bundles = createBundleStore(localStore({ root: `${base}/store` }))
const open = (id: string): Workspace =>
  new Workspace({ id, path: `${base}/source`, store: bundles, stateDir: `${base}/state` })
const work: Readonly<Record<string, () => Promise<unknown>>> = {
  save: () => open('w').save('next', { parent: 3 }),
  'first-save': () => open('new').save('next', { parent: 0 }),
  fork: () => bundles.fork('w', 'fork', { version: 2 }),
  prune: () => bundles.prune({ keepLast: 1, keepTagged: false }, { exclusive: true }),
}
startCounting()
await work[operation]?.()
reportCount()
