import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WorkspaceError } from '../../../src/errors.ts'
import {
  decodeTreeNode,
  encodeDirectory,
  encodeTreeNode,
  readDirectoryEntries,
  readRuns,
  type FileEntry,
  type TreeEntry,
} from '../../../src/bundle/format/tree-node.ts'
import { decodeRunList, listRuns, type Run } from '../../../src/bundle/format/tree-runs.ts'

const ID = 'c'.repeat(64)
const facts = { mode: 0o644, mtimeSeconds: 1_700_000_000, mtimeNanoseconds: 5 }
const link = (name: string): TreeEntry => ({ type: 'symlink', name, ...facts, target: 'somewhere' })
const idOf = (seed: number): string => createHash('sha256').update(String(seed)).digest('hex')

function expectCorrupt(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    if (WorkspaceError.is(error, 'CORRUPT')) return
    throw error
  }
  throw new Error('damage was not found')
}

const byteString = fc
  .uint8Array({ minLength: 1, maxLength: 30 })
  .map((bytes) => Buffer.from(bytes).toString('latin1').replace(/[/\0]/g, 'x'))
  .filter((name) => name !== '.' && name !== '..')
const run: fc.Arbitrary<Run> = fc.oneof(
  fc.record({
    kind: fc.constant('chunk' as const),
    id: fc.nat().map(idOf),
    length: fc.integer({ min: 1, max: 1_048_576 }),
  }),
  fc.record({
    kind: fc.constant('zeros' as const),
    id: fc.constant(''),
    length: fc.integer({ min: 1, max: 2 ** 45 }),
  }),
)
const anyFacts = {
  name: byteString,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  mtimeSeconds: fc.maxSafeInteger(),
  mtimeNanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
}
const entry: fc.Arbitrary<TreeEntry> = fc.oneof(
  fc
    .record({
      ...anyFacts,
      hardLinkGroup: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      runs: fc.array(run, { maxLength: 5 }),
    })
    .map((file) => ({
      type: 'file' as const,
      ...file,
      size: file.runs.reduce((sum, { length }) => sum + length, 0),
    })),
  fc
    .record({ ...anyFacts, node: fc.nat().map(idOf), entriesBelow: fc.nat(), contentBytesBelow: fc.nat() })
    .map((directory) => ({ type: 'directory' as const, ...directory })),
  fc.record({ ...anyFacts, target: byteString }).map((symlink) => ({ type: 'symlink' as const, ...symlink })),
)

function sorted(entries: readonly TreeEntry[]): TreeEntry[] {
  const byName = new Map(entries.map((item) => [item.name, item]))
  return [...byName.values()].sort((left, right) => (left.name < right.name ? -1 : 1))
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('a tree node', () => {
  it('comes back, whatever its entries', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }).map(sorted), (entries) => {
        expect(decodeTreeNode(encodeTreeNode(entries), ID)).toEqual({ kind: 'entries', entries })
      }),
    )
  })

  it('is refused when it is cut off anywhere or goes on', () => {
    const bytes = encodeTreeNode([
      link('a'),
      { ...link('b'), type: 'directory', node: ID, entriesBelow: 0, contentBytesBelow: 0 } as TreeEntry,
    ])
    for (let length = 0; length < bytes.length; length += 1) {
      expectCorrupt(() => decodeTreeNode(bytes.subarray(0, length), ID))
    }
    expectCorrupt(() => decodeTreeNode(Buffer.concat([bytes, Buffer.alloc(1)]), ID))
  })

  it.each(['.', '..', '', 'a/b', '/a', 'a\0b'])('is refused when it has the name %j', (name) => {
    expectCorrupt(() => decodeTreeNode(encodeTreeNode([link(name)]), ID))
  })

  it.each([
    ['two entries of one name', [link('a'), link('a')]],
    ['names out of order', [link('b'), link('a')]],
    ['an impossible mode', [{ ...link('a'), mode: 0o17777 }]],
    ['an impossible time', [{ ...link('a'), mtimeNanoseconds: 1_000_000_000 }]],
    ['a link to nothing', [{ ...link('a'), target: '' }]],
    ['a link with a NUL', [{ ...link('a'), target: 'x\0y' }]],
    [
      'a size that its runs do not have',
      [{ type: 'file', name: 'a', ...facts, size: 5, hardLinkGroup: 0n, runs: [] }],
    ],
    [
      'an empty run',
      [
        {
          type: 'file',
          name: 'a',
          ...facts,
          size: 0,
          hardLinkGroup: 0n,
          runs: [{ kind: 'zeros', id: '', length: 0 }],
        },
      ],
    ],
  ])('is refused when it has %s', (_, entries) => {
    expectCorrupt(() => decodeTreeNode(encodeTreeNode(entries as TreeEntry[]), ID))
  })

  it('is refused when it says to have four thousand million entries or runs, without making room for them', () => {
    const node = encodeTreeNode([{ type: 'file', name: 'a', ...facts, size: 0, hardLinkGroup: 0n, runs: [] }])
    const manyRuns = Buffer.from(node)
    manyRuns.writeUInt32LE(0xffff_ffff, node.length - 4)
    expectCorrupt(() => decodeTreeNode(manyRuns, ID))
    const manyEntries = Buffer.from(node)
    manyEntries.writeUInt32LE(0xffff_ffff, 8)
    expectCorrupt(() => decodeTreeNode(manyEntries, ID))
  })

  it('is refused when a number is above 2^53', () => {
    const node = encodeTreeNode([{ type: 'file', name: 'a', ...facts, size: 0, hardLinkGroup: 0n, runs: [] }])
    const changed = Buffer.from(node)
    changed.writeBigUInt64LE(2n ** 60n, node.length - 20)
    expectCorrupt(() => decodeTreeNode(changed, ID))
  })
})

describe('a large directory', () => {
  const names = Array.from({ length: 20_000 }, (_, index) => `file-${String(index).padStart(6, '0')}`)

  it('is spread over nodes of which a new name changes few', async () => {
    const first = encodeDirectory(names.map(link), null)
    const more = [...names, 'file-000100-new'].sort().map(link)
    const second = encodeDirectory(more, null)
    expect(first.length).toBeGreaterThan(5)
    const before = new Set(first.map(({ id }) => id))
    expect(second.filter(({ id }) => !before.has(id)).length).toBeLessThanOrEqual(3)
    const chunks = new Map(second.map(({ id, content }) => [id, content]))
    const read = await collect(
      readDirectoryEntries(second.at(-1)?.id ?? '', async (id) => chunks.get(id) ?? Buffer.alloc(0)),
    )
    expect(read).toEqual(more)
  })

  it('is refused when its parts overlap or are parts of parts', async () => {
    const chunks = encodeDirectory(names.map(link), null)
    const parts = new Map(chunks.map(({ id, content }) => [id, content]))
    const top = chunks.at(-1)
    if (top === undefined) throw new Error('no node')
    const rows = top.content.subarray(12)
    const swapped = Buffer.concat([
      top.content.subarray(0, 12),
      rows.subarray(36, 72),
      rows.subarray(0, 36),
      rows.subarray(72),
    ])
    const nested = Buffer.concat([
      top.content.subarray(0, 8),
      Buffer.from([1, 0, 0, 0]),
      Buffer.from(top.id, 'hex'),
      Buffer.alloc(4),
    ])
    for (const hostile of [swapped, nested]) {
      const read = collect(
        readDirectoryEntries('top', async (id) =>
          id === 'top' ? hostile : (parts.get(id) ?? Buffer.alloc(0)),
        ),
      )
      await expect(read).rejects.toMatchObject({ code: 'CORRUPT' })
    }
  })
})

describe('the runs of a large file', () => {
  const runs: Run[] = Array.from({ length: 3000 }, (_, index) => ({
    kind: 'chunk',
    id: idOf(index),
    length: 1000 + index,
  }))

  it('are kept in lists of which a change in the middle changes few', async () => {
    const { runs: top, lists } = listRuns(runs, null)
    expect(top.length).toBeLessThan(60)
    const changed = listRuns(
      [...runs.slice(0, 1500), { kind: 'zeros', id: '', length: 7 }, ...runs.slice(1500)],
      null,
    )
    const before = new Set(lists.map(({ id }) => id))
    expect(changed.lists.filter(({ id }) => !before.has(id)).length).toBeLessThanOrEqual(2)
    const chunks = new Map(lists.map(({ id, content }) => [id, content]))
    const file = { runs: top } as FileEntry
    expect(await collect(readRuns(file, async (id) => chunks.get(id) ?? Buffer.alloc(0)))).toEqual(runs)
  })

  it('are refused when a list has another length than it says, or holds a list', () => {
    const { runs: top, lists } = listRuns(runs, null)
    const [first] = top
    const content = lists[0]?.content ?? Buffer.alloc(0)
    if (first === undefined) throw new Error('no list')
    expectCorrupt(() => decodeRunList(content, { ...first, length: first.length + 1 }))
    const nested = Buffer.concat([Buffer.from([3]), Buffer.from(ID, 'hex'), Buffer.alloc(8, 1)])
    expectCorrupt(() => decodeRunList(nested, first))
  })
})
