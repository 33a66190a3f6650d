import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { memoryStore } from '@ws/store-memory'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { verifyVersion } from '../../../src/bundle/engine/maintain/verify-version.ts'
import { contentIdOf } from '../../../src/bundle/format/content-id.ts'
import { compressFrame, encodeFrame, INDEX_FRAME } from '../../../src/bundle/format/frame.ts'
import { encodePackIndex, type PackChunk, type PackFrame } from '../../../src/bundle/format/pack-index.ts'
import { indexChecksum, PACK_END_MAGIC, PACK_MAGIC } from '../../../src/bundle/format/pack-writer.ts'
import { encodeTreeNode, type Run, type TreeEntry } from '../../../src/bundle/format/tree-node.ts'
import type { PackReference, VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { directoryOf, fileOf, recordOf } from './store-tree.ts'

let base = ''
let target = ''
let repository: Repository

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-lies-'))
  target = join(base, 'target')
  mkdirSync(target)
  writeFileSync(join(target, 'mine'), 'stays')
  repository = await openRepository(memoryStore())
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

interface Lies {
  /** The id that the index gives to a chunk. */
  readonly idOf?: (chunk: Buffer, number: number) => string
  readonly changeIndex?: (index: Buffer) => Buffer
  /** The frame of the index, whatever it holds. */
  readonly indexFrame?: (index: Buffer) => Buffer
}

/** Somebody who can write to the store makes a pack by hand, its checksums all right. One frame for each chunk. */
async function putPack(chunks: readonly Buffer[], lies: Lies = {}): Promise<PackReference> {
  const id = randomBytes(16).toString('hex')
  const frames: PackFrame[] = []
  const rows: PackChunk[] = []
  const parts: Buffer[] = [PACK_MAGIC]
  let offset = PACK_MAGIC.length
  for (const [frame, chunk] of chunks.entries()) {
    const stored = encodeFrame(compressFrame(chunk), { packId: id, frame }, null)
    frames.push({ offset, storedBytes: stored.length, rawBytes: chunk.length, kind: 'tree' })
    const chunkId = lies.idOf?.(chunk, frame) ?? contentIdOf(chunk, null)
    rows.push({ id: chunkId, frame, offset: 0, length: chunk.length })
    parts.push(stored)
    offset += stored.length
  }
  const plain = encodePackIndex(frames, rows)
  const raw = lies.changeIndex?.(plain) ?? plain
  const index =
    lies.indexFrame?.(raw) ?? encodeFrame(compressFrame(raw), { packId: id, frame: INDEX_FRAME }, null)
  const trailer = Buffer.alloc(52)
  trailer.writeBigUInt64LE(BigInt(offset), 0)
  trailer.writeUInt32LE(index.length, 8)
  trailer.write(indexChecksum(id, index), 12, 32, 'hex')
  PACK_END_MAGIC.copy(trailer, 44)
  const bytes = Buffer.concat([...parts, index, trailer])
  await repository.store.put(repository.packKey(id), bytes)
  return { id, bytes: bytes.length, indexBytes: index.length + trailer.length }
}

function zstdFrame(content: Buffer, rawBytes: number): Buffer {
  const payload = zstdCompressSync(content)
  const header = Buffer.alloc(12)
  header.writeUInt32LE(1, 0)
  header.writeUInt32LE(rawBytes, 4)
  header.writeUInt32LE(payload.length, 8)
  return Buffer.concat([header, payload])
}

const content = Buffer.from('content')
const contentRun: Run = { kind: 'chunk', id: contentIdOf(content, null), length: content.length }
const sound = (): TreeEntry[] => [fileOf('a', [contentRun])]
const made = (letter: string): string => letter.repeat(64)

/** An index of one frame and one chunk: 4 + 17 + 4 + 44 bytes. */
const FRAME_ROW = 4
const CHUNK_COUNT = 4 + 17
const CHUNK_ROW = CHUNK_COUNT + 4

async function indexLie(change: (index: Buffer) => Buffer): Promise<VersionRecord> {
  const node = encodeTreeNode(sound())
  const data = await putPack([content], { changeIndex: change })
  return recordOf(contentIdOf(node, null), [data, await putPack([node])])
}

function patched(at: number, value: number): (index: Buffer) => Buffer {
  return (index) => {
    const changed = Buffer.from(index)
    changed.writeUInt32LE(value, at)
    return changed
  }
}

const lies: Readonly<Record<string, () => Promise<VersionRecord>>> = {
  'an index that says to have four billion frames': () => indexLie(patched(0, 0xffff_ffff)),
  'an index that says to have four billion chunks': () => indexLie(patched(CHUNK_COUNT, 0xffff_ffff)),
  'an index with a frame that says to hold more than a frame may': () =>
    indexLie(patched(FRAME_ROW + 12, 0xffff_fff0)),
  'an index with a frame that lies outside of the pack': () => indexLie(patched(FRAME_ROW, 0x7fff_0000)),
  'an index with a frame that is longer than the pack': () => indexLie(patched(FRAME_ROW + 8, 0x7fff_0000)),
  'an index with a chunk of a frame that is not there': () => indexLie(patched(CHUNK_ROW + 32, 7)),
  'an index with a chunk that begins behind its frame': () => indexLie(patched(CHUNK_ROW + 36, 1_000_000)),
  'an index with a chunk that is longer than its frame': () => indexLie(patched(CHUNK_ROW + 40, 1_000_000)),
  'an index that ends early': () => indexLie((index) => index.subarray(0, -1)),
  'an index that goes on': () => indexLie((index) => Buffer.concat([index, Buffer.alloc(44)])),
  'an index that decompresses to a gigabyte and says so': () => indexBomb(2 ** 30),
  'an index that decompresses to a gigabyte and says a few bytes': () => indexBomb(69),
  'a chunk that decompresses to a gigabyte': async () => {
    const node = encodeTreeNode(sound())
    const pack = await putPack([content])
    const bomb = zstdFrame(Buffer.alloc(2 ** 30), content.length)
    const { id } = pack
    const index = encodePackIndex(
      [{ offset: 8, storedBytes: bomb.length, rawBytes: content.length, kind: 'data' }],
      [{ id: contentRun.id, frame: 0, offset: 0, length: content.length }],
    )
    const frame = encodeFrame(compressFrame(index), { packId: id, frame: INDEX_FRAME }, null)
    const trailer = Buffer.alloc(52)
    trailer.writeBigUInt64LE(BigInt(8 + bomb.length), 0)
    trailer.writeUInt32LE(frame.length, 8)
    trailer.write(indexChecksum(id, frame), 12, 32, 'hex')
    PACK_END_MAGIC.copy(trailer, 44)
    const bytes = Buffer.concat([PACK_MAGIC, bomb, frame, trailer])
    await repository.store.put(repository.packKey(id), bytes)
    const reference = { id, bytes: bytes.length, indexBytes: frame.length + 52 }
    return recordOf(contentIdOf(node, null), [reference, await putPack([node])])
  },
  'a directory that holds itself': async () => {
    const node = encodeTreeNode([directoryOf('d', made('a'), 1)])
    return recordOf(made('a'), [await putPack([node], { idOf: () => made('a') })])
  },
  'two directories that hold each other': async () => {
    const [first, second] = [
      encodeTreeNode([directoryOf('d', made('b'), 1)]),
      encodeTreeNode([directoryOf('d', made('a'), 1)]),
    ]
    const idOf = (_: Buffer, number: number): string => made(number === 0 ? 'a' : 'b')
    return recordOf(made('a'), [await putPack([first, second], { idOf })])
  },
  'a large directory that is a part of itself': async () => {
    const node = Buffer.concat([
      Buffer.from('WSTREES\n\x01\0\0\0'),
      Buffer.from(made('a'), 'hex'),
      Buffer.from([1, 0, 0, 0]),
    ])
    return recordOf(made('a'), [await putPack([node], { idOf: () => made('a') })])
  },
  'a large directory that says to have four billion parts': async () => {
    const node = Buffer.concat([Buffer.from('WSTREES\n'), Buffer.alloc(4, 0xff)])
    return recordOf(contentIdOf(node, null), [await putPack([node])])
  },
  'a directory that says to have four billion entries': async () => {
    const node = Buffer.concat([Buffer.from('WSTREE1\n'), Buffer.alloc(4, 0xff)])
    return recordOf(contentIdOf(node, null), [await putPack([node])])
  },
  'a file whose content is a list that holds itself': async () => {
    const node = encodeTreeNode([fileOf('a', [{ kind: 'list', id: made('c'), length: 10 }])])
    const list = Buffer.concat([
      Buffer.from([3]),
      Buffer.from(made('c'), 'hex'),
      Buffer.from([10, 0, 0, 0, 0, 0, 0, 0]),
    ])
    const idOf = (chunk: Buffer): string => (chunk === list ? made('c') : contentIdOf(chunk, null))
    return recordOf(contentIdOf(node, null), [await putPack([node, list], { idOf })])
  },
  'a file whose content is a list of lists': async () => {
    const list = Buffer.concat([
      Buffer.from([3]),
      Buffer.from(made('c'), 'hex'),
      Buffer.from([10, 0, 0, 0, 0, 0, 0, 0]),
    ])
    const node = encodeTreeNode([fileOf('a', [{ kind: 'list', id: contentIdOf(list, null), length: 10 }])])
    return recordOf(contentIdOf(node, null), [await putPack([node, list])])
  },
  'a record that gives a pack another size': () => recordLie((pack) => ({ ...pack, bytes: pack.bytes + 1 })),
  'a record that gives a pack the size of a disk': () => recordLie((pack) => ({ ...pack, bytes: 2 ** 50 })),
  'a record that gives an index the size of its pack': () =>
    recordLie((pack) => ({ ...pack, indexBytes: pack.bytes })),
  'a record that gives an index the size of a disk': () =>
    recordLie((pack) => ({ ...pack, bytes: 2 ** 50, indexBytes: 2 ** 49 })),
  'a record that gives an index no bytes': () => recordLie((pack) => ({ ...pack, indexBytes: 0 })),
}

async function indexBomb(saidBytes: number): Promise<VersionRecord> {
  const node = encodeTreeNode(sound())
  const data = await putPack([content], { indexFrame: () => zstdFrame(Buffer.alloc(2 ** 30), saidBytes) })
  return recordOf(contentIdOf(node, null), [data, await putPack([node])])
}

async function recordLie(lie: (pack: PackReference) => PackReference): Promise<VersionRecord> {
  const node = encodeTreeNode(sound())
  return recordOf(contentIdOf(node, null), [lie(await putPack([content])), await putPack([node])])
}

it.each(Object.keys(lies))('%s is refused before anything is changed, and takes no memory', async (name) => {
  const record = await (lies[name] ?? (() => Promise.reject(new Error(name))))()
  for (const directory of [target, join(base, 'absent')]) {
    const before = process.resourceUsage().maxRSS
    await expect(
      loadDirectory(repository, record, directory, { cacheDirectory: null }),
    ).rejects.toMatchObject({ code: 'CORRUPT' })
    // Of what it says, or of what comes out, there would be a gigabyte or more.
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(200 * 1024)
  }
  expect((await verifyVersion(repository, record)).problems).not.toEqual([])
  expect(readFileSync(join(target, 'mine'), 'utf8')).toBe('stays')
  expect(readdirSync(base)).toEqual(['target'])
})

it('totals that a record makes up change nothing but the progress', async () => {
  const node = encodeTreeNode(sound())
  const most = Number.MAX_SAFE_INTEGER
  const stats = { files: most, directories: most, symlinks: most, contentBytes: most }
  const record = recordOf(contentIdOf(node, null), [await putPack([content, node])], { stats })
  await loadDirectory(repository, record, join(base, 'absent'), { cacheDirectory: null })
  expect(readFileSync(join(base, 'absent/a'), 'utf8')).toBe('content')
})
