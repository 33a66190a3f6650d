import childProcess from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import type { RollbackOptions } from '../../../src/snapshot/snapshot-backend.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'

/**
 * Rolls back, and is killed just before the given step: a step is a call that changes the workspace, its repository or
 * the journal, from the first one on that concerns the journal; where a rollback has been killed before, any. Prints the
 * number of steps when it comes to its end.
 */
const [name = '', path = '', stateDirectory = '', request = '', step = ''] = process.argv.slice(2)
const { target, options } = JSON.parse(request) as { target: Snapshot; options: RollbackOptions }

let steps = 0
let isArmed = fs
  .readdirSync(stateDirectory, { recursive: true })
  .some((file) => /\/rollback(-opened)?$/.test(String(file)))
const ours = new Set<unknown>()

function isOurs(file: unknown): boolean {
  if (typeof file === 'number') return ours.has(file)
  const text = String(file)
  if (/\/rollback(-merged.*|-opened)?(\.[^/]*)?$/.test(text)) isArmed = true
  return (
    isArmed && (text.startsWith(path) || /^\/proc\/[^/]+\/fd\//.test(text) || /\/rollback[^/]*/.test(text))
  )
}

function count(): void {
  steps += 1
  if (steps === Number(step)) process.kill(process.pid, 'SIGKILL')
}

const changing = [
  'unlinkSync',
  'rmdirSync',
  'rmSync',
  'mkdirSync',
  'renameSync',
  'symlinkSync',
  'linkSync',
  'chmodSync',
  'lchownSync',
  'lutimesSync',
  'utimesSync',
  'writeFileSync',
  'appendFileSync',
  'writeSync',
  'fchmodSync',
  'fchownSync',
  'futimesSync',
] as const
for (const operation of changing) {
  const original = fs[operation] as (...parameters: unknown[]) => unknown
  const replacement = (...parameters: unknown[]): unknown => {
    if (parameters.slice(0, 2).some(isOurs)) count()
    return original(...parameters)
  }
  Object.assign(fs, { [operation]: replacement })
}
const { openSync } = fs
fs.openSync = (file, flags, mode) => {
  const isCreation = typeof flags === 'number' && (flags & fs.constants.O_CREAT) !== 0
  if (isCreation && isOurs(file)) count()
  const descriptor = openSync(file, flags, mode)
  if (isArmed && isOurs(file)) ours.add(descriptor)
  return descriptor
}
const { spawn } = childProcess
Object.assign(childProcess, {
  spawn: (command: string, parameters: readonly string[], options: object) => {
    if (isArmed && ['update-ref', 'symbolic-ref'].some((each) => parameters.includes(each))) count()
    return spawn(command, parameters, options)
  },
})
syncBuiltinESMExports()

const { openRollbackBackend } = await import('./rollback-fixture.ts')
const backend = await openRollbackBackend(name as 'git' | 'bundle', path, stateDirectory)
await backend.rollback(target, options)
process.stdout.write(`${steps}`)
