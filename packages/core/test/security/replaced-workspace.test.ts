import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  createBundleStore,
  executeRun,
  Workspace,
  type BundleStore,
  type RunResult,
} from '../../src/index.ts'
import { applyUpdate } from '../../src/filesystem/apply-update.ts'
import { timeSlice } from '../../src/filesystem/time-slice.ts'
import { checkPlaces } from '../../src/snapshot/rollback/check-places.ts'
import { inDirectories } from '../../src/snapshot/rollback/directory-access.ts'
import { sweepHalfWritten } from '../../src/snapshot/rollback/rollback-journal.ts'
import type { PresentState } from '../../src/snapshot/rollback/rollback-source.ts'
import { describeTree } from '../support/describe-tree.ts'
import { createRepository, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

let base = ''
let path = ''
/** Somebody's directory, which is none of the workspace's business. */
let elsewhere = ''
let before: unknown
let bundles: BundleStore
let workspace: Workspace

beforeEach(async () => {
  base = temporaryDirectory()
  path = join(base, 'work')
  elsewhere = join(base, 'elsewhere')
  for (const directory of [path, join(elsewhere, 'inner')]) mkdirSync(directory, { recursive: true })
  writeFiles(path, { a: 'one\n', 'sub/b': 'two\n' })
  writeFiles(elsewhere, { a: 'secret\n', 'inner/key': 'secret\n' })
  before = describeTree(elsewhere, { skip: [] })
  bundles = createBundleStore(memoryStore())
  workspace = new Workspace({ id: 'w', path, store: bundles, stateDir: join(base, 'state') })
  await workspace.save('before')
})

const replaceByLink = (): void => {
  renameSync(path, `${path}-moved`)
  symlinkSync(elsewhere, path)
}

async function expectUntouched(): Promise<void> {
  expect(describeTree(elsewhere, { skip: [] })).toEqual(before)
  expect((await Array.fromAsync(bundles.history('w'))).map(({ version }) => version)).toEqual([1])
}

describe.each(['git', 'bundle', 'hash'] as const)(
  'a workspace that the agent replaces by a link, with the strategy %s',
  (strategy) => {
    it.each([replaceByLink, () => (rmSync(path, { recursive: true }), symlinkSync(elsewhere, path))])(
      'has nothing read, rolled back, saved or loaded where the link leads',
      async (replace) => {
        if (strategy === 'git') createRepository(path, { c: 'three\n' })
        const result: RunResult<unknown> = await executeRun(
          workspace,
          () => {
            replace()
            throw new Error('the model gave up')
          },
          { strategy, rollbackOnFailure: strategy !== 'hash', save: { message: 'after', onFailure: true } },
        )
        expect(result).toMatchObject({
          status: 'failed',
          workspace: { afterSnapshot: null, diff: null, error: { code: 'UNSAFE_PATH' } },
        })
        expect(result.workspace).not.toHaveProperty('rollback')
        await expectUntouched()
        for (const call of [
          () => workspace.load(),
          () => workspace.save('next'),
          () => workspace.snapshot(),
          () => executeRun(workspace, () => 1, { load: true }),
        ])
          await expect(call()).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
        await expectUntouched()
      },
    )

    it('is made anew where it was removed, and holds again what it held', async () => {
      if (strategy === 'git') createRepository(path, { c: 'three\n' })
      chmodSync(path, 0o2710)
      const held = describeTree(path)
      const { workspace: seen, record } = await executeRun(
        workspace,
        () => {
          rmSync(path, { recursive: true })
          throw new Error('the model gave up')
        },
        { strategy, rollbackOnFailure: strategy !== 'hash' },
      )
      expect(record.warnings).toEqual([`The agent has removed ${path}. It was made anew, empty.`])
      const removed = strategy === 'git' ? ['a', 'c', 'sub/b'] : ['a', 'sub/b']
      expect(
        seen?.diff?.changes.filter(({ status }) => status === 'deleted').map((change) => change.path),
      ).toEqual(removed)
      expect(describeTree(path)).toEqual(strategy === 'hash' ? {} : held)
      expect(lstatSync(path).mode & 0o7777).toBe(0o2710)
    })

    it('is not made anew behind a link', async () => {
      const inner = join(path, 'inner')
      mkdirSync(inner)
      if (strategy === 'git') createRepository(inner, { c: 'three\n' })
      const { workspace: seen } = await executeRun(
        new Workspace({ id: 'inner', path: inner, stateDir: join(base, 'state') }),
        () => {
          rmSync(join(elsewhere, 'inner'), { recursive: true })
          before = describeTree(elsewhere, { skip: [] })
          replaceByLink()
        },
        { strategy },
      )
      expect(seen).toMatchObject({ afterSnapshot: null, error: { code: 'UNSAFE_PATH' } })
      await expectUntouched()
    })
  },
)

describe('a workspace that is replaced by a link while it is written to', () => {
  it('by a rollback: nothing is written where the link leads', async () => {
    const snapshot = await workspace.snapshot({ strategy: 'bundle' })
    writeFiles(path, { a: 'changed\n', new: 'x' })
    let isReplaced = false
    const rolling = workspace.rollback(snapshot, {
      onProgress({ phase }) {
        if (phase !== 'write' || isReplaced) return
        isReplaced = true
        replaceByLink()
      },
    })
    await expect(rolling).rejects.toThrow()
    expect(isReplaced).toBe(true)
    await expectUntouched()
  })

  it.each(['compare', 'apply'])('by a load, when it begins to %s: the same', async (when) => {
    writeFiles(path, { a: 'changed\n', new: 'x' })
    let isReplaced = false
    const loading = workspace.load({
      onProgress({ phase }) {
        if (phase !== when || isReplaced) return
        isReplaced = true
        replaceByLink()
      },
    })
    await loading.catch(() => undefined)
    expect(isReplaced).toBe(true)
    await expectUntouched()
  })

  it('by a load: what lies there is not taken for the workspace, even if it is the same', async () => {
    await bundles.load('w', elsewhere)
    before = describeTree(elsewhere, { skip: [] })
    // Read when the load has begun, before it opens the directory.
    const exclude = Object.assign(['none'], {
      *[Symbol.iterator]() {
        if (!lstatSync(path).isSymbolicLink()) replaceByLink()
        yield 'none'
      },
    })
    await expect(workspace.load({ exclude })).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
    await expectUntouched()
  })
})

describe('what changes a directory opens it by its real path: it', () => {
  const prefix = '.ws-rollback-of-a-process-that-was-killed-'
  const plan = { removals: [], directories: [], writes: [], modeChanges: [], restored: [], deleted: [] }

  it.each<[string, () => Promise<unknown> | void]>([
    ['looks there for nothing in the way', () => checkPlaces(path, plan, {} as PresentState)],
    ['rolls nothing back there', () => inDirectories(path, new Map(), () => undefined)],
    ['loads nothing there', () => applyUpdate(base, path, { directories: [] }, 'refuse', timeSlice())],
    [
      'cleans nothing up there',
      () => sweepHalfWritten({ path, journalDirectory: base }, { prefix, parents: [''] } as never),
    ],
  ])('%s', async (_what, change) => {
    writeFiles(elsewhere, { [`${prefix}0`]: 'of somebody' })
    before = describeTree(elsewhere, { skip: [] })
    for (const name of ['new', 'old']) mkdirSync(join(base, name))
    replaceByLink()
    await expect((async () => change())()).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
    await expectUntouched()
  })
})
