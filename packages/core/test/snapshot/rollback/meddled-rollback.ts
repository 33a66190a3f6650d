import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'

/**
 * Rolls back, and is disturbed: somebody writes to the first file just after it was put in its place, or the process is
 * killed before the fifth is. Prints what the rollback rejects with.
 */
const [name = '', path = '', stateDirectory = '', target = '', disturbance = 'meddle'] = process.argv.slice(2)

const { renameSync } = fs
let renamed = 0
fs.renameSync = (from, to) => {
  const isWrite = from.toString().includes('.ws-rollback-')
  if (isWrite) renamed += 1
  if (renamed === 5 && disturbance === 'kill') process.kill(process.pid, 'SIGKILL')
  renameSync(from, to)
  if (isWrite && renamed === 1 && disturbance === 'meddle') fs.appendFileSync(to, 'meddled')
}
syncBuiltinESMExports()

const { openRollbackBackend } = await import('./rollback-fixture.ts')
const backend = await openRollbackBackend(name as 'git' | 'bundle', path, stateDirectory)
const outcome = await backend.rollback(JSON.parse(target) as Snapshot).catch((error: unknown) => error)
process.stdout.write(JSON.stringify(outcome))
