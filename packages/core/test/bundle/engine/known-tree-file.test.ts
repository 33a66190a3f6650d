import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import zlib from 'node:zlib'
import { expect, it } from 'vitest'
import {
  emptyTree,
  type KnownDirectory,
  type KnownTree,
} from '../../../src/bundle/engine/known/known-tree.ts'
import { knownTreeFile } from '../../../src/bundle/engine/known/known-tree-file.ts'
import type { FileEntry, TreeEntry } from '../../../src/bundle/format/tree-node.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const REPOSITORY = '0123456789abcdef0123456789abcdef'
const GROUP_AT = 24
const BODY_AT = GROUP_AT + 8

const idOf = (seed: number): string => seed.toString(16).padStart(2, '0').repeat(32)
const packOf = (seed: number): string => seed.toString(16).padStart(2, '0').repeat(16)

const facts = { mode: 0o640, mtimeSeconds: 1_700_000_000, mtimeNanoseconds: 999_999_999 }

function file(name: string, seed: number, more: Partial<FileEntry> = {}): FileEntry {
  const runs = [{ kind: 'chunk', id: idOf(seed), length: 10 }] as const
  return { type: 'file', name, ...facts, size: 10, hardLinkGroup: 0n, runs, ...more }
}

function directoryOf(node: number, entries: readonly TreeEntry[]): KnownDirectory {
  const stats = BigInt64Array.from({ length: entries.length * 4 }, (_, index) => BigInt(node * 1000 + index))
  return { node: idOf(node), entries, stats, entriesBelow: entries.length, contentBytesBelow: 2 ** 40 }
}

function below(name: string, node: number): TreeEntry {
  return { type: 'directory', name, ...facts, node: idOf(node), entriesBelow: 3, contentBytesBelow: 2 ** 45 }
}

/** Every kind of entry, and numbers that do not fit into 32 bits. */
function makeTree(): KnownTree {
  const tree = emptyTree()
  tree.root = idOf(0xa1)
  const large: FileEntry = file('large', 0, {
    size: 2 ** 33 + 7,
    mode: 0o7777,
    mtimeSeconds: -5,
    runs: [
      { kind: 'zeros', id: '', length: 2 ** 33 },
      { kind: 'chunk', id: idOf(2), length: 7 },
    ],
  })
  tree.directories.set(
    '',
    directoryOf(0xa1, [below('caf\u00c3\u00a9', 0xa2), file('empty', 0, { size: 0, runs: [] }), large]),
  )
  tree.directories.set(
    'caf\u00c3\u00a9',
    directoryOf(0xa2, [
      file('\u00ff\n', 3, { hardLinkGroup: 2n ** 63n + 1n }),
      { type: 'symlink', name: '\u00ff\u00fe', ...facts, target: '../\u00e9/x' },
      below('\u00ff\u00ff', 0xa3),
    ]),
  )
  tree.directories.set('caf\u00c3\u00a9/\u00ff\u00ff', directoryOf(0xa3, []))
  addPack(tree, 0xb1, [2, 3, 0xa1, 0xa2, 0xa3])
  return tree
}

function addPack(tree: KnownTree, seed: number, chunks: readonly number[]): void {
  tree.packs.set(packOf(seed), { id: packOf(seed), bytes: 2 ** 36, indexBytes: 77 })
  for (const chunk of chunks) tree.chunkPacks.set(idOf(chunk), packOf(seed))
}

async function store(tree: KnownTree): Promise<string> {
  const cache = temporaryDirectory()
  await knownTreeFile(cache, REPOSITORY).write(tree, new Map(), null)
  return cache
}

const read = (cache: string): Promise<KnownTree> => knownTreeFile(cache, REPOSITORY).read(null)

function pathOf(cache: string): string {
  return join(cache, readdirSync(cache)[0] ?? '')
}

it('gives back everything that is known of a tree', async () => {
  expect(await read(await store(makeTree()))).toEqual(makeTree())
})

it('adds what a save has changed, with what is gone', async () => {
  const cache = await store(makeTree())
  const known = knownTreeFile(cache, REPOSITORY)
  const tree = await known.read(null)
  const before = new Map(tree.directories)
  const bytes = known.bytes()
  tree.directories.delete('caf\u00c3\u00a9')
  tree.directories.delete('caf\u00c3\u00a9/\u00ff\u00ff')
  tree.directories.set('', directoryOf(0xa4, [file('new', 4), file('other', 2)]))
  tree.root = idOf(0xa4)
  addPack(tree, 0xb2, [4, 0xa4])
  await known.write(tree, before, null)
  expect(await known.read(null)).toEqual(tree)
  // What has not changed is not there again.
  expect(readFileSync(pathOf(cache)).toString('latin1', bytes)).not.toContain('caf\u00c3\u00a9/\u00ff\u00ff/')
  expect(readFileSync(pathOf(cache)).toString('hex', bytes)).not.toContain(packOf(0xb1))
})

it('is an empty tree when it is of another repository, or cut off in its first group', async () => {
  const cache = await store(makeTree())
  const path = pathOf(cache)
  const whole = readFileSync(path)
  expect(await knownTreeFile(cache, REPOSITORY.replace('0', 'f')).read(null)).toEqual(emptyTree())
  for (let length = 0; length < whole.length; length += 1) {
    writeFileSync(path, whole.subarray(0, length))
    expect((await read(cache)).directories.size).toBe(0)
  }
})

it('is the tree of an earlier save when what a later one added is cut off or damaged', async () => {
  const cache = await store(makeTree())
  const known = knownTreeFile(cache, REPOSITORY)
  const tree = await known.read(null)
  const before = new Map(tree.directories)
  const bytes = known.bytes()
  tree.directories.set('', directoryOf(0xa5, [below('caf\u00c3\u00a9', 0xa2)]))
  tree.root = idOf(0xa5)
  await known.write(tree, before, null)
  const path = pathOf(cache)
  const whole = readFileSync(path)
  expect(await read(cache)).toEqual(tree)
  for (let position = bytes; position < whole.length; position += 1) {
    const damaged = Buffer.from(whole)
    damaged.writeUInt8(damaged.readUInt8(position) ^ 1, position)
    writeFileSync(path, damaged)
    expect(await read(cache)).toEqual(makeTree())
    writeFileSync(path, whole.subarray(0, position))
    expect(await read(cache)).toEqual(makeTree())
  }
})

it.each([
  ['was cut off', (whole: Buffer) => whole.subarray(0, -5)],
  ['was damaged', (whole: Buffer) => Buffer.concat([whole.subarray(0, -1), Buffer.of(7)])],
  ['somebody else has written', (whole: Buffer) => Buffer.concat([whole, whole.subarray(GROUP_AT)])],
])('is written anew where a later change would come behind what %s', async (_, change) => {
  const cache = await store(makeTree())
  const known = knownTreeFile(cache, REPOSITORY)
  const save = async (tree: KnownTree, node: number): Promise<void> => {
    const before = new Map(tree.directories)
    tree.directories.set('', directoryOf(node, [below('caf\u00c3\u00a9', 0xa2)]))
    tree.root = idOf(node)
    await known.write(tree, before, null)
  }
  const first = await known.read(null)
  await save(first, 0xa5)
  writeFileSync(pathOf(cache), change(readFileSync(pathOf(cache))))
  const other = await known.read(null)
  await save(other, 0xa6)
  expect(await read(cache)).toEqual(other)
  // By who had read it before that, too.
  await save(first, 0xa7)
  expect(await read(cache)).toEqual(first)
  await save(first, 0xa8)
  expect(await read(cache)).toEqual(first)
})

it('gives no name that a file system cannot have, whoever has written it', async () => {
  const cache = await store(makeTree())
  const path = pathOf(cache)
  const whole = readFileSync(path)
  let trees = 0
  for (let position = BODY_AT; position < whole.length; position += 1) {
    for (const byte of [0, 1, 0x2e, 0x2f, 0xff]) {
      const changed = Buffer.from(whole)
      changed.writeUInt8(byte, position)
      changed.writeUInt32LE(zlib.crc32(changed.subarray(BODY_AT)), GROUP_AT + 4)
      writeFileSync(path, changed)
      const tree = await read(cache)
      for (const { bytes, indexBytes } of tree.packs.values())
        expect([bytes, indexBytes].every(Number.isSafeInteger)).toBe(true)
      for (const { entries, stats } of tree.directories.values()) {
        expect(stats.length).toBe(entries.length * 4)
        expect(entries.filter(isImpossible)).toEqual([])
        expect(entries.map(({ name }) => name)).toEqual([...new Set(entries.map(({ name }) => name))].sort())
      }
      trees += tree.directories.size > 0 ? 1 : 0
    }
  }
  expect(trees).toBeGreaterThan(100)
})

function isImpossible(entry: TreeEntry): boolean {
  const { name, mode, mtimeNanoseconds } = entry
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) return true
  if (mode > 0o7777 || mtimeNanoseconds >= 1e9 || !Number.isSafeInteger(entry.mtimeSeconds)) return true
  if (entry.type === 'symlink') return entry.target === '' || entry.target.includes('\0')
  if (entry.type === 'directory')
    return ![entry.entriesBelow, entry.contentBytesBelow].every(Number.isSafeInteger)
  return entry.runs.reduce((sum, { length }) => sum + length, 0) !== entry.size
}

it('lets others have their turns while it is read and written', async () => {
  const tree = makeTree()
  let turns = 0
  const slice = { pauseWhenDue: () => Promise.resolve().then(() => void (turns += 1)) }
  const cache = temporaryDirectory()
  await knownTreeFile(cache, REPOSITORY).write(tree, new Map(), slice)
  expect(turns).toBe(3)
  expect(await knownTreeFile(cache, REPOSITORY).read(slice)).toEqual(tree)
  expect(turns).toBe(6)
})

it('reads and writes more ids than go into one text', async () => {
  const tree = emptyTree()
  const many = Array.from({ length: 40_000 }, (_, index) => index.toString(16).padStart(64, '0'))
  tree.packs.set(packOf(1), { id: packOf(1), bytes: 1, indexBytes: 1 })
  for (const id of many) tree.chunkPacks.set(id, packOf(1))
  tree.root = many[39_999] ?? ''
  tree.directories.set('', { ...directoryOf(1, []), node: tree.root })
  expect(await read(await store(tree))).toEqual(tree)
})
