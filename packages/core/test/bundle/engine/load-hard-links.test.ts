import { linkSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { createBundleStore, type BundleStore } from '../../../src/index.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const NAMES = ['b/x', 'c/y', 'd/z']
/** Every way in which three names can be those of one, two or three files. */
const SHAPES = ['b/x=c/y=d/z', 'b/x=c/y d/z', 'b/x=d/z c/y', 'b/x c/y=d/z', 'b/x c/y d/z']
const SECONDS = 1_700_000_000

function makeFiles(root: string, shape: string): void {
  for (const name of NAMES) mkdirSync(dirname(join(root, name)), { recursive: true })
  for (const file of shape.split(' ')) {
    const [first = '', ...others] = file.split('=').map((name) => join(root, name))
    writeFileSync(first, 'the same in all')
    utimesSync(first, SECONDS, SECONDS)
    for (const other of others) linkSync(first, other)
  }
  for (const name of NAMES) utimesSync(dirname(join(root, name)), SECONDS, SECONDS)
}

function shapeOf(root: string): string {
  const files = Map.groupBy(NAMES, (name) => statSync(join(root, name)).ino)
  return [...files.values()].map((names) => names.join('=')).join(' ')
}

async function saveShapes(): Promise<BundleStore> {
  const bundles = createBundleStore(memoryStore())
  for (const shape of SHAPES) {
    const path = temporaryDirectory()
    makeFiles(path, shape)
    await bundles.save('w', path, { message: shape })
  }
  return bundles
}

it.each([
  ['with nothing remembered', false, null],
  ['with all of it remembered', true, null],
  ['where a directory is gone', false, 'b'],
  ['where a directory is gone', true, 'd'],
])(
  'names are those of the same file exactly where the version says so, whatever was there: %s',
  async (_what, remembers, gone) => {
    const bundles = await saveShapes()
    for (const [from, before] of SHAPES.entries())
      for (const [to, wanted] of SHAPES.entries()) {
        const path = join(temporaryDirectory(), 'work')
        const cache = remembers ? { cacheDirectory: temporaryDirectory() } : {}
        if (remembers) await bundles.load('w', path, { version: from + 1, ...cache })
        else makeFiles(path, before)
        if (gone !== null) rmSync(join(path, gone), { recursive: true })
        await bundles.load('w', path, { version: to + 1, ...cache })
        expect(shapeOf(path), `${before} -> ${wanted}`).toBe(wanted)
      }
  },
)
