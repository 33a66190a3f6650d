import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'

/** Rolls back, and kills this process between writing the hundredth file and putting it in its place. */
const [path = '', stateDirectory = '', target = ''] = process.argv.slice(2)

const { renameSync } = fs
let renamed = 0
fs.renameSync = (from, to) => {
  if (from.toString().includes('.ws-rollback-')) {
    renamed += 1
    if (renamed === 100) process.kill(process.pid, 'SIGKILL')
  }
  renameSync(from, to)
}
syncBuiltinESMExports()

const { openBundleBackend } = await import('../../../src/snapshot/bundle/open-bundle-backend.ts')
const backend = await openBundleBackend({ path, stateDirectory })
await backend.rollback(JSON.parse(target) as Snapshot)
