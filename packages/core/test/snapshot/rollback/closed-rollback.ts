import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Workspace } from '../../../src/index.ts'
import { runUserGit } from '../git/git-fixture.ts'
import { closedStates, describeClosed, describeRepository } from './closed-states.ts'

/** Undoes what an agent has closed, undoes that, and undoes it once more; each state in a workspace of its own. */
const [name = '', base = ''] = process.argv.slice(2)
const strategy = name === 'git' ? 'git' : 'bundle'

async function undoAndRedo(path: string, close: (path: string) => void) {
  mkdirSync(join(path, 'src/deep'), { recursive: true })
  writeFileSync(join(path, 'a.txt'), 'one\n')
  writeFileSync(join(path, 'private.txt'), 'mine\n')
  chmodSync(join(path, 'private.txt'), 0o600)
  writeFileSync(join(path, 'src/b.txt'), 'two\n')
  writeFileSync(join(path, 'src/deep/c.txt'), 'three\n')
  if (name === 'git') {
    runUserGit(path, 'init', '-q', '-b', 'main')
    runUserGit(path, 'add', '-A')
    runUserGit(path, 'commit', '-q', '-m', 'first')
  }
  const workspace = new Workspace({ id: 'closed', path, stateDir: join(base, 'state') })
  const before = await workspace.snapshot({ label: 'before', strategy })
  const original = describeClosed(path)
  close(path)
  const spoilt = describeClosed(path)
  const repositories = [describeRepository(path)]
  const after = await workspace.snapshot({ label: 'after', previous: before }).catch(() => undefined)
  const preview = await workspace.rollback(before, { expected: after, dryRun: true })
  const previewed = describeClosed(path)
  const result = await workspace.rollback(before, { expected: after })
  const undone = describeClosed(path)
  const guard = result.guard ?? before
  const again = await workspace.rollback(guard)
  const redone = describeClosed(path)
  const changes = await workspace.diff(before, again.guard ?? guard)
  const last = await workspace.rollback(before, { expected: guard })
  const end = describeClosed(path)
  repositories.push(describeRepository(path))
  return {
    original,
    spoilt,
    steps: [preview, result].map(({ steps }) => steps),
    verified: [result, again, last].map(({ verified }) => verified),
    repositories,
    trees: { previewed, undone, redone, end },
    changedInBetween: changes.changedPaths,
    guards: [before.ref, guard.ref, again.guard?.ref, last.guard?.ref],
  }
}

const outputs: Record<string, unknown> = {}
for (const [index, [state, close]] of Object.entries(closedStates).entries())
  outputs[state] = await undoAndRedo(join(base, `${index}`), close)
process.stdout.write(JSON.stringify(outputs))
