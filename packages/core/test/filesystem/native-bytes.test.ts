import fs from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it, vi } from 'vitest'
import { createBundle, extractBundle, Workspace } from '../../src/index.ts'
import { describeTree } from '../support/describe-tree.ts'
import { createRepository, temporaryDirectory } from '../support/temporary-directory.ts'

/** As Yarn's plug'n'play patches it: paths are answered as texts, whatever was asked for, and links are made of texts. */
vi.mock('node:fs', async (importOriginal) => {
  const actual = await importOriginal<typeof fs>()
  const patched = {
    ...actual,
    readlinkSync: (path: fs.PathLike) => actual.readlinkSync(path),
    realpathSync: Object.assign((path: fs.PathLike) => actual.realpathSync(path), actual.realpathSync),
    symlinkSync: (target: unknown, path: unknown) => {
      if (typeof target !== 'string' || typeof path !== 'string') throw new TypeError('Not a text.')
      actual.symlinkSync(target, path)
    },
  }
  return { ...patched, default: patched }
})

vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<typeof fs.promises>()
  return { ...actual, realpath: (path: fs.PathLike) => actual.realpath(path) }
})

/** A directory whose name, and whose link, are not ASCII. */
function makeTree(): string {
  const directory = join(temporaryDirectory(), 'bäume')
  fs.mkdirSync(directory)
  fs.writeFileSync(join(directory, 'ä.txt'), 'one')
  fs.symlinkSync('ziel-ü', join(directory, 'lïnk'))
  return directory
}

describe('where node:fs answers with texts', () => {
  it.each(['git', 'bundle'] as const)('a snapshot by %s is taken and rolled back to', async (strategy) => {
    const path = makeTree()
    if (strategy === 'git') createRepository(path, {})
    const workspace = new Workspace({ id: 'w', path, stateDir: temporaryDirectory() })
    const tree = describeTree(path)
    const before = await workspace.snapshot({ strategy })
    fs.rmSync(join(path, 'lïnk'))
    fs.writeFileSync(join(path, 'ä.txt'), 'two')
    expect((await workspace.rollback(before)).verified).toBe(true)
    expect(describeTree(path)).toEqual(tree)
  })

  it('a snapshot by hash is taken and compared', async () => {
    const path = makeTree()
    const workspace = new Workspace({ id: 'w', path, stateDir: temporaryDirectory() })
    const before = await workspace.snapshot({ strategy: 'hash' })
    fs.rmSync(join(path, 'lïnk'))
    fs.symlinkSync('ziel-ö', join(path, 'lïnk'))
    expect((await workspace.diff(before)).changedPaths).toEqual(['lïnk'])
  })

  it('versions and archives keep links', async () => {
    const path = makeTree()
    const store = memoryStore()
    await new Workspace({ id: 'w', path, store }).save('first')
    const copy = join(temporaryDirectory(), 'kopie-é')
    await new Workspace({ id: 'w', path: copy, store, stateDir: temporaryDirectory() }).load()
    expect(describeTree(copy)).toEqual(describeTree(path))
    const extracted = join(temporaryDirectory(), 'auszug-é')
    await extractBundle(createBundle(path), extracted)
    expect(describeTree(extracted)).toEqual(describeTree(path))
  })
})
