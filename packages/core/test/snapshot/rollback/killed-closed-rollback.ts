import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runUserGit } from '../git/git-fixture.ts'
import { closedStates, describeClosed, emptyClosed } from './closed-states.ts'
import { openRollbackBackend, type BackendName } from './rollback-fixture.ts'
import { runKilledRollback } from './run-killed-rollback.ts'

/**
 * Kills a rollback of what is closed to its owner before one of its steps after the other, and lets the next call end it.
 * Prints every state that was left then, and the two that there may be.
 */
/** Most steps open or close one more file; each takes a process. */
const STRIDE = 4
const [name = '', base = '', script = ''] = process.argv.slice(2)
const path = join(base, 'work')
const stateDirectory = join(base, 'state')
for (const directory of [path, stateDirectory]) mkdirSync(directory)

function makeOriginal(): void {
  emptyClosed(path)
  mkdirSync(join(path, 'src'))
  writeFileSync(join(path, 'a.txt'), 'one\n')
  writeFileSync(join(path, 'private.txt'), 'mine\n')
  chmodSync(join(path, 'private.txt'), 0o600)
  writeFileSync(join(path, 'src/b.txt'), 'two\n')
}

function spoil(): void {
  makeOriginal()
  closedStates['a file that it edits and closes'](path)
  closedStates['a file that it lets be written and not read'](path)
  closedStates['a directory that can be entered and not listed'](path)
  closedStates['closed directories in closed directories that it makes'](path)
}

makeOriginal()
if (name === 'git') {
  runUserGit(path, 'init', '-q', '-b', 'main')
  runUserGit(path, 'add', '-A')
  runUserGit(path, 'commit', '-q', '-m', 'first')
}
const open = () => openRollbackBackend(name as BackendName, path, stateDirectory)
const backend = await open()
const target = await backend.capture({ label: 'before' })
spoil()
const spoilt = describeClosed(path)
// What is opened and not rolled back has to be closed again.
const request = { target, options: { paths: ['a.txt', 'private.txt', 'src'] } }
await backend.rollback(target, request.options)
const undone = describeClosed(path)
const ends: {
  readonly step: number
  readonly state: 'undone' | 'spoilt' | string[]
  readonly told: string
}[] = []
let steps: number | null = null
for (let step = 1; steps === null; step += STRIDE) {
  spoil()
  steps = await runKilledRollback(script, name as BackendName, { path, stateDirectory }, request, step)
  if (steps !== null) break
  const next = await open()
  const { recovery = null } =
    ends.length % 2 === 0
      ? await next.rollback(target, { dryRun: true })
      : (await next.capture({ label: 'x' })).metadata
  const found = describeClosed(path)
  const is = JSON.stringify(found)
  const state = is === JSON.stringify(undone) ? 'undone' : is === JSON.stringify(spoilt) ? 'spoilt' : found
  ends.push({ step, state, told: recovery?.outcome ?? 'nothing' })
}
process.stdout.write(JSON.stringify({ steps, ends, undone, spoilt }))
