import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Workspace, type Snapshot, type SnapshotBackend } from '@ws/core'
import {
  takeTurns,
  type Measurement,
  type Suite,
  type SuiteContext,
  type SuiteResult,
} from '../measurement.ts'
import { shell } from '../shell.ts'
import { fourProjects, smallFiles, type LargeTree } from '../trees/large-trees.ts'
import { commitTree, packObjects } from '../trees/project-tree.ts'

const SHADOW = 'a shadow repository: git add ., git commit'
const TEMPORARY_INDEX = 'git read-tree HEAD, git add -A, git write-tree'
const CHECKOUT_ALL = 'git read-tree, git checkout-index -a -f'
const TAKE_TREE = 'git read-tree HEAD && git add -A && git write-tree'
const CHECK_OUT = 'git read-tree HEAD && git checkout-index -a -f'
const STATUS = 'git status --porcelain=v2 -uall'

/** Snapshots and rollbacks of 50,000 committed files beside the ways in which other tools take and restore them. */
export const otherWaysSuite: Suite = {
  name: 'other-ways',
  run: (context) => measure('other-ways', smallFiles(50_000), context),
}

/** The same of files as they are found. */
export const projectOtherWaysSuite: Suite = {
  name: 'other-ways-project',
  run: (context) => measure('other-ways-project', fourProjects, context),
}

export const manyOtherWaysSuite: Suite = {
  name: 'other-ways-many',
  isHeavy: true,
  run: (context) => measure('other-ways-many', smallFiles(200_000), context),
}

async function measure(
  suite: string,
  tree: LargeTree,
  { directory, samples, isQuick, log }: SuiteContext,
): Promise<SuiteResult> {
  const path = join(directory, 'repository')
  await tree.write(path, log)
  await commitTree(path)
  await packObjects(path)
  const few = isQuick ? 1 : Math.min(samples, 3)
  const open = (state: string) =>
    new Workspace({ id: 'bench', path, stateDir: join(directory, state) }).openBackend({ strategy: 'git' })

  let fresh = 0
  const first = await takeTurns(few, {
    shadow: { run: () => commitToShadow(path, join(directory, `shadow-${(fresh += 1)}`)) },
    status: { run: () => shell(`${STATUS} >/dev/null`, path) },
    ours: { run: async () => (await open(`state-${(fresh += 1)}`)).capture({ label: 'bench' }) },
  })

  const backend = await open('state')
  const before = await backend.capture({ label: 'before' })
  const index = join(directory, 'index')
  const edit = (): Promise<void> => tree.edit(path)
  const snapshot = await takeTurns(few, {
    temporaryIndex: {
      prepare: edit,
      run: () => shell(`${TAKE_TREE} >/dev/null`, path, { GIT_INDEX_FILE: index }),
    },
    ours: { prepare: edit, run: () => backend.capture({ label: 'bench', previous: before }) },
  })
  // Before anything has written all files anew, after which git status reads them.
  const undone = await takeTurns(few, {
    status: { prepare: edit, run: () => shell(`${STATUS} >/dev/null`, path) },
    ours: { prepare: edit, run: () => backend.rollback(before) },
  })
  /** The peer has written all files anew, which is nobody's state after a turn of an agent. */
  const forgetCheckout = async (): Promise<void> => {
    await wait(2100)
    await backend.capture({ label: 'bench' })
    await edit()
  }
  const restore = await takeTurns(few, {
    checkoutAll: {
      prepare: edit,
      run: () => shell(CHECK_OUT, path, { GIT_INDEX_FILE: index }),
    },
    ours: { prepare: forgetCheckout, run: () => backend.rollback(before) },
  })

  await edit()
  const diff = await measureDiff(backend, before, samples)
  const line = (
    name: string,
    ours: number,
    peer: Measurement['peer'],
    target: number | null,
  ): Measurement => ({
    suite,
    name,
    unit: 'ms',
    ours,
    peer,
    samples: peer === null ? samples : few,
    target,
  })
  const { files } = tree
  const taken = `first snapshot of ${files} files`
  const edited = `snapshot, 10 of ${files} files edited`
  const rolledBack = `rollback of 10 in ${files} files, guarded and proven`
  const compared = `diff and patch of 10 in ${files} files, less a start of git`
  return {
    measurements: [
      line(taken, first.ours, { name: SHADOW, value: first.shadow }, 1 / 8),
      line(taken, first.ours, { name: STATUS, value: first.status }, null),
      line(edited, snapshot.ours, { name: TEMPORARY_INDEX, value: snapshot.temporaryIndex }, 1 / 8),
      line(rolledBack, undone.ours, { name: STATUS, value: undone.status }, 3),
      line(rolledBack, restore.ours, { name: CHECKOUT_ALL, value: restore.checkoutAll }, 1 / 20),
      line(compared, Math.max(diff.ours - diff.spawn, 0), null, 30),
    ],
  }
}

async function measureDiff(backend: SnapshotBackend, before: Snapshot, samples: number) {
  const after = await backend.capture({ label: 'after', previous: before })
  return takeTurns(samples, {
    // From this process, as ours has to start it.
    spawn: { run: () => promisify(execFile)('git', ['--version'], { cwd: before.path }) },
    ours: {
      run: async () => {
        await backend.changes(before, after)
        for await (const _ of backend.patch(before, after));
      },
    },
  })
}

async function commitToShadow(path: string, shadow: string): Promise<void> {
  const identity = '-c user.name=bench -c user.email=bench@example.com -c commit.gpgsign=false'
  await shell(`git init -q --bare . && git config core.bare false && git config gc.auto 0`, mkdirAt(shadow))
  await shell(`git add . && git ${identity} commit -q -m checkpoint`, path, {
    GIT_DIR: shadow,
    GIT_WORK_TREE: path,
  })
}

function mkdirAt(path: string): string {
  mkdirSync(path)
  return path
}
