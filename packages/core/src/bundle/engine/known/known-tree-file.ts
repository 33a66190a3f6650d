import { Buffer } from 'node:buffer'
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import zlib from 'node:zlib'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import { readBytes, type ByteReader } from '../../format/byte-reader.ts'
import { decodeTreeNode, encodeTreeNode } from '../../format/tree-node.ts'
import { writeUint64 } from '../../format/write-fields.ts'
import { gatherBlocks } from './gathered-blocks.ts'
import { emptyTree, joinPath, STATS_PER_ENTRY, type KnownDirectory, type KnownTree } from './known-tree.ts'

/**
 * The file in which a known tree outlives its process: a header, then groups of changes, each with its length and
 * checksum. A save appends one group. The file only ever makes saves faster: one that is missing, damaged, of another
 * repository or cut off reads as an empty tree, or as that of an earlier group.
 */
export interface KnownTreeFile {
  read(): KnownTree
  /**
   * Appends what changed since `before`, or writes all of it anew. Failures are ignored: the next save is slower.
   * @param slice lets others have their turn in between; nobody may change the tree meanwhile
   */
  write(
    tree: KnownTree,
    before: ReadonlyMap<ByteString, KnownDirectory>,
    slice: TimeSlice | null,
  ): Promise<void>
  /** Changes whenever the file does. */
  fingerprint(): string
  bytes(): number
}

const MAGIC = 'WSKNOWN1'
const HEADER_BYTES = MAGIC.length + 16
const GROUP_HEADER_BYTES = 8
const DIRECTORY = 1
const GONE = 2
const PACK = 3
const ROOT = 4
/** A file of changes is written anew when most of it is out of date. */
const MIN_REWRITE_BYTES = 1024 * 1024

export function knownTreeFile(cacheDirectory: string, repositoryId: string): KnownTreeFile {
  const path = join(cacheDirectory, `tree-${repositoryId}`)
  const header = Buffer.concat([Buffer.from(MAGIC), Buffer.from(repositoryId, 'hex')])
  const stat = () => statSync(path, { throwIfNoEntry: false, bigint: true })
  const rewrite = async (tree: KnownTree, slice: TimeSlice | null): Promise<void> => {
    mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 })
    const bytes = [header, ...(await encodeGroup(tree, new Map(), new Set(), slice))]
    // One name, so that a killed process leaves no more than one. Two writers at once spoil each other's checksum at worst.
    const temporary = `${path}.new`
    try {
      writeFile(temporary, 'w', bytes)
      renameSync(temporary, path)
    } catch (error) {
      rmSync(temporary, { force: true })
      throw error
    }
  }
  return {
    read() {
      try {
        const bytes = readFileSync(path)
        if (!bytes.subarray(0, HEADER_BYTES).equals(header)) return emptyTree()
        return decodeGroups(bytes.subarray(HEADER_BYTES))
      } catch {
        return emptyTree()
      }
    },
    async write(tree, before, slice) {
      try {
        const size = Number(stat()?.size ?? 0n)
        const isDue = before.size === 0 || size > 2 * firstGroupBytes(path, header) + MIN_REWRITE_BYTES
        if (isDue) await rewrite(tree, slice)
        else writeFile(path, 'a', await encodeGroup(tree, before, storedPacks(tree), slice))
      } catch {
        // A full or read-only disk: the file is missing or out of date, which costs time and nothing else.
      }
    },
    fingerprint() {
      try {
        const stats = stat()
        return stats === undefined ? '' : `${stats.ino} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`
      } catch {
        return ''
      }
    },
    bytes() {
      try {
        return Number(stat()?.size ?? 0n)
      } catch {
        return 0
      }
    },
  }
}

/** The first group of a file holds the whole tree of that time. 0 for a file that is not this repository's. */
function firstGroupBytes(path: string, header: Buffer): number {
  const start = Buffer.alloc(HEADER_BYTES + 4)
  const fd = openSync(path, 'r')
  try {
    const count = readSync(fd, start, 0, start.length, 0)
    return count === start.length && start.subarray(0, HEADER_BYTES).equals(header)
      ? start.readUInt32LE(HEADER_BYTES)
      : 0
  } finally {
    closeSync(fd)
  }
}

/** Packs of the tree that the file holds already. */
const written = new WeakMap<KnownTree, Set<string>>()

function storedPacks(tree: KnownTree): ReadonlySet<string> {
  return written.get(tree) ?? new Set()
}

function writeFile(path: string, flags: 'a' | 'w', parts: readonly Buffer[]): void {
  const fd = openSync(path, flags, 0o600)
  try {
    for (const part of parts) for (let done = 0; done < part.length;) done += writeSync(fd, part, done)
  } finally {
    closeSync(fd)
  }
}

async function encodeGroup(
  tree: KnownTree,
  before: ReadonlyMap<ByteString, KnownDirectory>,
  packsBefore: ReadonlySet<string>,
  slice: TimeSlice | null,
): Promise<readonly Buffer[]> {
  const parts = gatherBlocks()
  for (const path of before.keys()) {
    if (!tree.directories.has(path)) parts.push(fields([GONE], text(path)))
  }
  for (const [path, directory] of tree.directories) {
    if (before.get(path) === directory) continue
    parts.push(encodeDirectoryItem(path, directory))
    const pause = slice?.pauseWhenDue()
    if (pause !== undefined) await pause
  }
  const ids = new Map<string, string[]>()
  for (const pack of tree.packs.keys()) if (!packsBefore.has(pack)) ids.set(pack, [])
  if (ids.size > 0) for (const [id, pack] of tree.chunkPacks) ids.get(pack)?.push(id)
  for (const [id, chunks] of ids) {
    const pack = tree.packs.get(id)
    if (pack === undefined) continue
    const numbers = Buffer.alloc(20)
    numbers.writeBigUInt64LE(BigInt(pack.bytes), 0)
    numbers.writeBigUInt64LE(BigInt(pack.indexBytes), 8)
    numbers.writeUInt32LE(chunks.length, 16)
    parts.push(fields([PACK], Buffer.from(id, 'hex'), numbers, Buffer.from(chunks.join(''), 'hex')))
  }
  parts.push(fields([ROOT], Buffer.from(tree.root, 'hex')))
  written.set(tree, new Set(tree.packs.keys()))
  const body = parts.finish()
  const bodyBytes = body.reduce((sum, block) => sum + block.length, 0)
  const checksum = body.reduce((soFar, block) => zlib.crc32(block, soFar), 0)
  const head = Buffer.alloc(GROUP_HEADER_BYTES)
  head.writeUInt32LE(bodyBytes, 0)
  head.writeUInt32LE(checksum, 4)
  return [head, ...body]
}

function encodeDirectoryItem(path: ByteString, directory: KnownDirectory): Buffer {
  const { stats } = directory
  const rows = Buffer.from(stats.buffer, stats.byteOffset, directory.entries.length * STATS_PER_ENTRY * 8)
  const entries = encodeTreeNode(directory.entries)
  const item = Buffer.allocUnsafe(61 + path.length + rows.length + entries.length)
  let position = item.writeUInt8(DIRECTORY)
  position = item.writeUInt32LE(path.length, position)
  position += item.write(path, position, 'latin1')
  position += item.write(directory.node, position, 'hex')
  position = writeUint64(item, directory.entriesBelow, position)
  position = writeUint64(item, directory.contentBytesBelow, position)
  position = item.writeUInt32LE(rows.length, position)
  position += rows.copy(item, position)
  position = item.writeUInt32LE(entries.length, position)
  entries.copy(item, position)
  return item
}

function fields(type: readonly number[], ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(type), ...parts])
}

function text(value: ByteString): Buffer {
  return Buffer.concat([length(value.length), Buffer.from(value, 'latin1')])
}

function length(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function decodeGroups(bytes: Buffer): KnownTree {
  const tree = emptyTree()
  for (let position = 0; position + GROUP_HEADER_BYTES <= bytes.length;) {
    const start = position + GROUP_HEADER_BYTES
    const end = start + bytes.readUInt32LE(position)
    const body = bytes.subarray(start, end)
    if (end > bytes.length || zlib.crc32(body) !== bytes.readUInt32LE(position + 4)) break
    const reader = readBytes(body, 'cache of a saved tree')
    while (reader.remaining() > 0) readItem(reader, tree)
    position = end
  }
  written.set(tree, new Set(tree.packs.keys()))
  // Groups of two writers could be mixed: then the parts are true, but not the whole.
  if (!isWhole(tree)) tree.root = ''
  return tree
}

function readItem(reader: ByteReader, tree: KnownTree): void {
  const type = reader.uint8()
  if (type === ROOT) tree.root = reader.hex(32)
  else if (type === GONE) tree.directories.delete(reader.byteString(reader.uint32()))
  else if (type === PACK) {
    const id = reader.hex(16)
    tree.packs.set(id, { id, bytes: reader.uint64(), indexBytes: reader.uint64() })
    for (let count = reader.uint32(); count > 0; count -= 1) tree.chunkPacks.set(reader.hex(32), id)
  } else if (type === DIRECTORY) {
    const path = reader.byteString(reader.uint32())
    const node = reader.hex(32)
    const entriesBelow = reader.uint64()
    const contentBytesBelow = reader.uint64()
    const rows = Uint8Array.from(reader.bytes(reader.uint32()))
    const decoded = decodeTreeNode(reader.bytes(reader.uint32()), node)
    const stats = new BigInt64Array(rows.buffer)
    if (decoded.kind !== 'entries' || stats.length !== decoded.entries.length * STATS_PER_ENTRY) {
      return reader.fail('a directory is not what it says')
    }
    tree.directories.set(path, { node, entries: decoded.entries, stats, entriesBelow, contentBytesBelow })
  } else reader.fail(`it has an item of the unknown type ${type}`)
}

function isWhole(tree: KnownTree): boolean {
  if (tree.directories.get('')?.node !== tree.root) return false
  let count = 1
  for (const [path, directory] of tree.directories) {
    for (const entry of directory.entries) {
      if (entry.type !== 'directory') continue
      count += 1
      if (tree.directories.get(joinPath(path, entry.name))?.node !== entry.node) return false
    }
  }
  return count === tree.directories.size
}
