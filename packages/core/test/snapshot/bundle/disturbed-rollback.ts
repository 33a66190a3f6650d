import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'

/**
 * Rolls back, and is disturbed when the given number of files has been written: killed before the file is put in its
 * place, or somebody writes to it just after. Prints what the rollback rejects with.
 */
const [path = '', stateDirectory = '', target = '', disturbance = '', count = ''] = process.argv.slice(2)

const { renameSync } = fs
let renamed = 0
fs.renameSync = (from, to) => {
  if (from.toString().includes('.ws-rollback-')) {
    renamed += 1
    if (renamed === Number(count) && disturbance === 'kill') process.kill(process.pid, 'SIGKILL')
  }
  renameSync(from, to)
  if (from.toString().includes('.ws-rollback-') && renamed === Number(count)) fs.appendFileSync(to, 'meddled')
}
syncBuiltinESMExports()

const { openBundleBackend } = await import('../../../src/snapshot/bundle/open-bundle-backend.ts')
const backend = await openBundleBackend({ path, stateDirectory })
const outcome = await backend.rollback(JSON.parse(target) as Snapshot).catch((error: unknown) => error)
process.stdout.write(JSON.stringify(outcome))
