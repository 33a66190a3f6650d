import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Workspace, type Snapshot, type SnapshotBackend } from '@ws/core'
import { takeTurns, type Measurement, type Suite } from '../measurement.ts'
import { shell } from '../shell.ts'
import { commitTree } from '../trees/project-tree.ts'

const FILES = 50_000
const FILES_PER_DIRECTORY = 100
const SHADOW = 'a shadow repository: git add ., git commit'
const TEMPORARY_INDEX = 'git read-tree HEAD, git add -A, git write-tree'
const CHECKOUT_ALL = 'git read-tree, git checkout-index -a -f'

/** Snapshots and rollbacks of 50,000 committed files beside the ways in which other tools take and restore them. */
export const otherWaysSuite: Suite = {
  name: 'other-ways',
  async run({ directory, samples, isQuick, log }) {
    const path = join(directory, 'repository')
    log(`writing ${FILES} files`)
    writeSources(path)
    await commitTree(path)
    const few = isQuick ? 1 : Math.min(samples, 3)
    const open = (state: string) =>
      new Workspace({ id: 'bench', path, stateDir: join(directory, state) }).openBackend({ strategy: 'git' })

    let fresh = 0
    const first = await takeTurns(few, {
      shadow: { run: () => commitToShadow(path, join(directory, `shadow-${(fresh += 1)}`)) },
      ours: { run: async () => (await open(`state-${(fresh += 1)}`)).capture({ label: 'bench' }) },
    })

    const backend = await open('state')
    const before = await backend.capture({ label: 'before' })
    const index = join(directory, 'index')
    const edit = async (): Promise<void> => editTenFiles(path)
    const snapshot = await takeTurns(few, {
      temporaryIndex: {
        prepare: edit,
        run: () =>
          shell('git read-tree HEAD && git add -A && git write-tree >/dev/null', path, {
            GIT_INDEX_FILE: index,
          }),
      },
      ours: { prepare: edit, run: () => backend.capture({ label: 'bench', previous: before }) },
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
        run: () => shell('git read-tree HEAD && git checkout-index -a -f', path, { GIT_INDEX_FILE: index }),
      },
      ours: { prepare: forgetCheckout, run: () => backend.rollback(before) },
    })

    await edit()
    const diff = await measureDiff(backend, before, samples)
    const line = (name: string, ours: number, peer: Measurement['peer'], target: number): Measurement => ({
      suite: 'other-ways',
      name,
      unit: 'ms',
      ours,
      peer,
      samples: peer === null ? samples : few,
      target,
    })
    return {
      measurements: [
        line('first snapshot of 50,000 files', first.ours, { name: SHADOW, value: first.shadow }, 1 / 8),
        line(
          'snapshot, 10 of 50,000 files edited',
          snapshot.ours,
          { name: TEMPORARY_INDEX, value: snapshot.temporaryIndex },
          1 / 8,
        ),
        line(
          'rollback of 10 in 50,000 files, guarded and proven',
          restore.ours,
          { name: CHECKOUT_ALL, value: restore.checkoutAll },
          1 / 20,
        ),
        line(
          'diff and patch of 10 in 50,000 files, less a start of git',
          Math.max(diff.ours - diff.spawn, 0),
          null,
          30,
        ),
      ],
    }
  },
}

async function measureDiff(backend: SnapshotBackend, before: Snapshot, samples: number) {
  const after = await backend.capture({ label: 'after', previous: before })
  return takeTurns(samples, {
    spawn: { run: () => shell('exec git --version >/dev/null', before.path) },
    ours: {
      run: async () => {
        await backend.changes(before, after)
        for await (const _ of backend.patch(before, after));
      },
    },
  })
}

function writeSources(path: string): void {
  for (let number = 0; number < FILES; number += 1) {
    const folder = join(
      path,
      `package-${Math.floor(number / 5000)}`,
      `folder-${Math.floor(number / FILES_PER_DIRECTORY)}`,
    )
    if (number % FILES_PER_DIRECTORY === 0) mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `source-${number}.ts`), `export const value${number} = ${number}\n`.repeat(40))
  }
}

function editTenFiles(path: string): void {
  for (let number = 0; number < FILES; number += FILES / 10) {
    const folder = join(
      path,
      `package-${Math.floor(number / 5000)}`,
      `folder-${Math.floor(number / FILES_PER_DIRECTORY)}`,
    )
    appendFileSync(join(folder, `source-${number}.ts`), '// edited\n')
  }
}

async function commitToShadow(path: string, shadow: string): Promise<void> {
  const identity = '-c user.name=bench -c user.email=bench@example.com -c commit.gpgsign=false'
  await shell(`git init -q --bare . && git config core.bare false`, mkdirAt(shadow))
  await shell(`git add . && git ${identity} commit -q -m checkpoint`, path, {
    GIT_DIR: shadow,
    GIT_WORK_TREE: path,
  })
}

function mkdirAt(path: string): string {
  mkdirSync(path)
  return path
}
