import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'

/**
 * Rolls back once for each disturbance (merging, when told what is expected): somebody appends to the first file just after
 * it was put in its place, changes its mode or puts another text there, or the process is killed before the fifth is.
 * Prints what the rollbacks reject with.
 */
const [
  name = '',
  path = '',
  stateDirectory = '',
  target = '',
  disturbances = 'append',
  expected = '',
  text = '',
] = process.argv.slice(2)

const { renameSync } = fs
let renamed = 0
let disturbance = ''
fs.renameSync = (from, to) => {
  const isWrite = from.toString().includes('.ws-rollback-')
  if (isWrite) renamed += 1
  if (renamed === 5 && disturbance === 'kill') process.kill(process.pid, 'SIGKILL')
  renameSync(from, to)
  if (!isWrite || renamed !== 1) return
  if (disturbance === 'append') fs.appendFileSync(to, 'meddled')
  if (disturbance === 'chmod') fs.chmodSync(to, 0o600)
  if (disturbance === 'replace') fs.writeFileSync(to, text)
}
syncBuiltinESMExports()

const { openRollbackBackend } = await import('./rollback-fixture.ts')
const backend = await openRollbackBackend(name as 'git' | 'bundle', path, stateDirectory)
const options =
  expected === '' ? {} : ({ expected: JSON.parse(expected) as Snapshot, onForeignEdits: 'merge' } as const)
const outcomes: unknown[] = []
for (disturbance of disturbances.split(',')) {
  renamed = 0
  outcomes.push(
    await backend.rollback(JSON.parse(target) as Snapshot, options).catch((error: unknown) => error),
  )
}
process.stdout.write(JSON.stringify(outcomes))
