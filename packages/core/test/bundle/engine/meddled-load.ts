import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { localStore } from '@ws/store-local'

/**
 * Loads into a full directory. Somebody else is at work as soon as the last thing that is new has come in: writes to a file
 * that is to be replaced, which ends the load, and puts files of theirs in places by now. Prints what the load rejects with.
 */
const [base = '', places = ''] = process.argv.slice(2)
const target = join(base, 'work')

const { renameSync } = fs
let isDone = false
fs.renameSync = (from, to) => {
  renameSync(from, to)
  if (isDone || !to.toString().endsWith('/new')) return
  isDone = true
  fs.writeFileSync(join(target, 'z-changed'), 'foreign')
  for (const place of places.split(',')) {
    fs.unlinkSync(join(target, place))
    fs.writeFileSync(join(target, place), 'foreign')
  }
}
syncBuiltinESMExports()

const { Workspace } = await import('../../../src/workspace/workspace.ts')
const options = { id: 'work', path: target, stateDir: join(base, 'state') }
const workspace = new Workspace({ ...options, store: localStore({ root: join(base, 'store') }) })
const outcome = await workspace.load().catch((error: unknown) => error)
process.stdout.write(JSON.stringify(outcome))
