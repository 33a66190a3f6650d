import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { join } from 'node:path'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { git, temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { listTree } from '../tree-listing.ts'
import { startSaving } from './save-session.ts'

async function saveAndLoad(source: string): Promise<string> {
  const bundles = createBundleStore(localStore({ root: temporaryDirectory(), durability: 'none' }))
  const { report } = await bundles.save('w', source, { message: '' })
  expect({ skipped: report.skipped, unstable: report.unstable }).toEqual({ skipped: [], unstable: [] })
  const target = join(temporaryDirectory(), 'target')
  await bundles.load('w', target)
  return target
}

describe('a save and a load bring back', () => {
  it('a file of more than 4 GiB with its holes', async () => {
    const source = temporaryDirectory()
    const path = join(source, 'disk.img')
    const pieces: readonly (readonly [number, string])[] = [
      [0, 'at the beginning'],
      [2 ** 32 - 3, 'across the border of 4 GiB'],
      [2 ** 32 + 2 ** 28 - 7, 'the end'],
    ]
    const file = openSync(path, 'w')
    for (const [position, text] of pieces) writeSync(file, text, position)
    closeSync(file)
    const loaded = join(await saveAndLoad(source), 'disk.img')
    expect(statSync(loaded).size).toBe(2 ** 32 + 2 ** 28)
    expect(statSync(loaded).blocks * 512).toBeLessThan(1_000_000)
    const copy = openSync(loaded, 'r')
    for (const [position, text] of pieces) {
      const bytes = Buffer.alloc(text.length)
      readSync(copy, bytes, 0, bytes.length, position)
      expect(bytes.toString()).toBe(text)
    }
    closeSync(copy)
  }, 120_000)

  it('a tree 4,096 directories deep', async () => {
    const source = temporaryDirectory()
    execFileSync('python3', [
      '-c',
      'import os,sys\nos.chdir(sys.argv[1])\nfor i in range(4096):\n os.mkdir("d");os.chdir("d")\nopen("bottom","w").write("deep")',
      source,
    ])
    onTestFinished(() => void execFileSync('rm', ['-rf', source]))
    const target = await saveAndLoad(source)
    onTestFinished(() => void execFileSync('rm', ['-rf', target]))
    const seen = execFileSync('python3', [
      '-c',
      'import os,sys\nos.chdir(sys.argv[1]);depth=0\nwhile os.listdir(".")==["d"]:\n os.chdir("d");depth+=1\nprint(depth,os.listdir("."),open("bottom").read())',
      target,
    ])
    expect(seen.toString()).toBe("4096 ['bottom'] deep\n")
  }, 120_000)

  it('a git repository, which then has nothing to report', async () => {
    const source = temporaryDirectory()
    writeFiles(source, { 'a.txt': 'a', 'folder/b.txt': 'b' })
    git(source, 'init', '-q')
    git(source, 'add', '.')
    git(source, 'commit', '-q', '-m', 'first')
    git(source, 'tag', 'kept')
    git(source, 'gc', '-q')
    writeFiles(source, { 'a.txt': 'changed', 'untracked.txt': 'u' })
    git(source, 'add', 'a.txt')
    const target = await saveAndLoad(source)
    expect(listTree(target)).toEqual(listTree(source))
    expect(git(target, 'fsck', '--full', '--strict')).toBe('')
    for (const ask of [
      ['status', '--porcelain=v2'],
      ['show-ref', '--head'],
      ['diff', '--cached'],
    ])
      expect(git(target, ...ask)).toBe(git(source, ...ask))
  })

  it('names that other systems would cut, merge or refuse', async () => {
    const source = temporaryDirectory()
    const names = [
      'é',
      'e\u0301',
      'A',
      'a',
      'ß',
      'ss',
      'dot.',
      'space ',
      ' ',
      '...',
      'CON',
      'aux.txt',
      '-rf',
      '*?<>|":',
      '\u0001\u007f',
      '.ws-not-ours',
      'x'.repeat(255),
    ]
    for (const name of names) writeFileSync(join(source, name), name)
    const target = await saveAndLoad(source)
    expect(listTree(target)).toEqual(listTree(source))
    expect(readdirSync(target)).toHaveLength(names.length)
  })

  it('times before 1970 and to the microsecond, of directories too', async () => {
    const source = temporaryDirectory()
    mkdirSync(join(source, 'folder'))
    writeFileSync(join(source, 'folder/old'), '')
    execFileSync('touch', ['-d', '1965-03-04 05:06:07.123456', join(source, 'folder/old')])
    utimesSync(join(source, 'folder'), 1_234_567_890.654321, 1_234_567_890.654321)
    expect(listTree(await saveAndLoad(source))).toEqual(listTree(source))
  })
})

it('a save reads no further ahead of a store that does not answer than a few packs', async () => {
  const source = temporaryDirectory()
  const noise = randomBytes(4_000_000)
  for (let index = 0; index < 40; index += 1) {
    for (let at = 0; at < noise.length; at += 4096) noise.writeUInt32LE(index, at)
    writeFileSync(join(source, `noise-${index}`), noise)
  }
  truncateSync(join(source, 'noise-0'), 1000)
  const store = memoryStore()
  let isOpen = false
  let waiting = 0
  let mostWaiting = 0
  let mostRead = 0
  const session = await startSaving(source, null, {
    store: {
      ...store,
      async put(key, body, options) {
        waiting += 1
        mostWaiting = Math.max(mostWaiting, waiting)
        while (!isOpen && key.startsWith('packs/')) await setImmediate()
        waiting -= 1
        return store.put(key, body, options)
      },
    },
  })
  const saving = session.save({
    onProgress({ bytesDone }) {
      if (!isOpen) mostRead = Math.max(mostRead, bytesDone)
    },
  })
  // Both that may be on their way are; then many turns of nothing but waiting.
  while (waiting < 2) await setImmediate()
  for (let turn = 0; turn < 20_000; turn += 1) await setImmediate()
  const readAhead = mostRead
  for (let turn = 0; turn < 20_000; turn += 1) await setImmediate()
  expect(mostRead).toBe(readAhead)
  expect(mostRead).toBeLessThan(100_000_000)
  isOpen = true
  const saved = await saving
  expect(mostWaiting).toBe(2)
  expect(saved.stats.contentBytes).toBe(39 * 4_000_000 + 1000)
})
