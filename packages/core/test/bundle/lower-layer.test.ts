import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  utimesSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import { createBundle } from '../../src/bundle/archive/create-bundle.ts'
import { extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { executeRun } from '../../src/run/execute-run.ts'
import { Workspace } from '../../src/workspace/workspace.ts'
import { containerKinds, mountOverlay } from '../support/overlay.ts'
import { isNamespace } from '../support/plain-user.ts'
import { createRepository, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'
import { expectSameTree, listTree, withoutTimes } from './tree-listing.ts'

const MEBIBYTE = 1024 * 1024

function fillWorkspace(path: string): void {
  createRepository(path, { 'a.txt': 'one', 'sub/b.txt': 'two', 'sub/deep/er/c.txt': 'three' })
  mkdirSync(join(path, 'empty'))
  linkSync(join(path, 'a.txt'), join(path, 'hard.txt'))
  symlinkSync('a.txt', join(path, 'link'))
  chmodSync(join(path, 'sub/b.txt'), 0o600)
  chmodSync(join(path, 'sub/deep'), 0o750)
}

/** The next state: directories that go, one that becomes a file, a file that becomes a directory. */
function fillOther(path: string): void {
  writeFiles(path, { 'a.txt/x': 'a directory now', 'sub/new.txt': 'new', empty: 'a file now' })
}

function leftovers(path: string): string[] {
  return [...readdirSync(path), ...readdirSync(dirname(path))].filter((name) => name.startsWith('.ws-'))
}

function mountWorkspace(kind: string): { path: string; other: string; base: string } {
  const base = temporaryDirectory()
  const merged = mountOverlay(join(base, 'layers'), (lower) => fillWorkspace(join(lower, 'work')), kind)
  const other = join(base, 'other')
  fillOther(other)
  return { path: join(merged, 'work'), other, base }
}

describe.each(containerKinds)('a workspace in a lower layer of overlayfs (a container %s)', (kind) => {
  it.each([{ keepDirectory: false }, { keepDirectory: true }])(
    'is replaced by what an archive holds (%o)',
    async (options) => {
      const { path, other } = mountWorkspace(kind)
      await extractBundle(createBundle(other), path, options)
      expectSameTree(listTree(path), listTree(other))
      expect(leftovers(path)).toEqual([])
    },
  )

  it.each([{ keepDirectory: false }, { keepDirectory: true }])(
    'is as it was when the archive turns out to be damaged (%o)',
    async (options) => {
      const { path, other } = mountWorkspace(kind)
      const before = listTree(path)
      const chunks: Uint8Array[] = []
      for await (const chunk of createBundle(other)) chunks.push(chunk)
      const bundle = Buffer.concat(chunks).subarray(0, -20)
      await expect(extractBundle(bundle, path, options)).rejects.toMatchObject({ code: 'CORRUPT' })
      expect([listTree(path), leftovers(path)]).toEqual([before, []])
    },
  )

  it('is loaded over, and loaded back', async () => {
    const { path, other, base } = mountWorkspace(kind)
    const before = withoutTimes(listTree(path))
    const options = { store: memoryStore(), stateDir: join(base, 'state') }
    const workspace = new Workspace({ id: 'here', path, ...options })
    await workspace.save('as it came')
    await new Workspace({ id: 'there', path: other, ...options }).save('another')
    const loaded = await new Workspace({ id: 'there', path, ...options }).load()
    expect(loaded?.report.deleted.files).toBeGreaterThan(2)
    expect(listTree(path)).toEqual(listTree(other))
    await workspace.load()
    expect(withoutTimes(listTree(path))).toEqual(before)
    expect(leftovers(path)).toEqual([])
  })

  it.each(['load', 'extractBundle'])(
    'has every directory back, with owners, modes and times, when the disk is full halfway through a %s',
    async (operation) => {
      const base = temporaryDirectory()
      const fill = (lower: string): void => {
        const path = join(lower, 'work')
        // One moves as a whole; of the other one a part, and then there is no room in the upper layer.
        writeFiles(path, {
          'a/one.txt': 'one',
          'a/inner/two.txt': 'two',
          'z/first/three.txt': 'three',
          'z/last': new Uint8Array(6 * MEBIBYTE),
        })
        for (const name of ['a/inner', 'z/first', 'z']) {
          chmodSync(join(path, name), 0o750)
          // In a namespace of one user there is nobody else.
          if (!isNamespace) chownSync(join(path, name), 1234, 4321)
          utimesSync(join(path, name), 1_000_000_000, 1_000_000_000)
        }
      }
      const path = join(mountOverlay(join(base, 'layers'), fill, kind, 4), 'work')
      const owners = (): string[] =>
        ['a/inner', 'z/first', 'z'].map((name) => {
          const { uid, gid } = lstatSync(join(path, name))
          return `${uid}:${gid}`
        })
      const before = [listTree(path), owners()]
      const other = join(base, 'other')
      fillOther(other)
      const replaceAll = async (): Promise<unknown> => {
        if (operation === 'extractBundle') return extractBundle(createBundle(other), path)
        const options = { store: memoryStore(), stateDir: join(base, 'state') }
        await new Workspace({ id: 'w', path: other, ...options }).save('another')
        return new Workspace({ id: 'w', path, ...options }).load()
      }
      await expect(replaceAll()).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
      expect([[listTree(path), owners()], leftovers(path)]).toEqual([before, []])
    },
  )

  it.each(['git', 'bundle'] as const)('is rolled back by %s, and that is undone', async (strategy) => {
    const { path, base } = mountWorkspace(kind)
    const listed = () => withoutTimes(listTree(join(path, 'sub')))
    const before = listed()
    const workspace = new Workspace({ id: 'w', path, stateDir: join(base, 'state') })
    const agent = async (): Promise<never> => {
      writeFiles(path, { 'sub/b.txt': 'longer than before', 'sub/deep/er/new.txt': 'new' })
      chmodSync(join(path, 'sub/deep'), 0o700)
      throw new Error('the model gave up')
    }
    const { workspace: seen } = await executeRun(workspace, agent, { rollbackOnFailure: true, strategy })
    expect(seen?.rollback).toMatchObject({ verified: true, deleted: ['sub/deep/er/new.txt'] })
    expect(listed()).toEqual(before)
    if (seen?.rollback?.guard != null) await workspace.rollback(seen.rollback.guard)
    expect(lstatSync(join(path, 'sub/deep/er/new.txt')).size).toBe(3)
  })
})
