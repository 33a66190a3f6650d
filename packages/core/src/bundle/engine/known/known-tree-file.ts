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
import { decodeChanges } from './decode-known-tree.ts'
import { encodeChanges, type KnownTreeChanges } from './encode-known-tree.ts'
import { emptyTree, joinPath, type KnownDirectory, type KnownTree } from './known-tree.ts'

/**
 * The file in which a known tree outlives its process: a header, then groups of changes, each with its length and
 * checksum. A save appends one group. The file only ever makes saves faster: one that is missing, damaged, of another
 * repository or cut off reads as an empty tree, or as that of an earlier group.
 */
export interface KnownTreeFile {
  /** @param slice as of `write` */
  read(slice: TimeSlice | null): Promise<KnownTree>
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

const MAGIC = 'WSKNOWN2'
const HEADER_BYTES = MAGIC.length + 16
const GROUP_HEADER_BYTES = 8
/** A file of changes is written anew when most of it is out of date. */
const MIN_REWRITE_BYTES = 1024 * 1024

export function knownTreeFile(cacheDirectory: string, repositoryId: string): KnownTreeFile {
  const path = join(cacheDirectory, `tree-${repositoryId}`)
  const header = Buffer.concat([Buffer.from(MAGIC), Buffer.from(repositoryId, 'hex')])
  const stat = () => statSync(path, { throwIfNoEntry: false, bigint: true })
  const rewrite = async (tree: KnownTree, slice: TimeSlice | null): Promise<void> => {
    mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 })
    const all = { tree, before: new Map(), packsBefore: new Set<string>() }
    const parts = [header, ...(await encodeGroup(all, slice))]
    // One name, so that a killed process leaves no more than one. Two writers at once spoil each other's checksum at worst.
    const temporary = `${path}.new`
    try {
      writeFile(temporary, 'w', parts)
      renameSync(temporary, path)
      noteHeld(tree, lengthOf(parts))
    } catch (error) {
      rmSync(temporary, { force: true })
      throw error
    }
  }
  return {
    async read(slice) {
      try {
        const bytes = readFileSync(path)
        return bytes.subarray(0, HEADER_BYTES).equals(header) ? await decodeGroups(bytes, slice) : emptyTree()
      } catch {
        return emptyTree()
      }
    },
    async write(tree, before, slice) {
      try {
        const size = Number(stat()?.size ?? 0n)
        const known = held.get(tree)
        // Behind what was cut off or damaged, or written by somebody else, nothing would be found again.
        const isOther = before.size === 0 || size !== known?.bytes
        if (isOther || size > 2 * firstGroupBytes(path, header) + MIN_REWRITE_BYTES)
          return await rewrite(tree, slice)
        const parts = await encodeGroup({ tree, before, packsBefore: known.packs }, slice)
        writeFile(path, 'a', parts)
        noteHeld(tree, size + lengthOf(parts))
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

/** What of a tree the file holds already, and how long it is when that is all of it. */
const held = new WeakMap<KnownTree, { readonly packs: ReadonlySet<string>; readonly bytes: number }>()

function noteHeld(tree: KnownTree, bytes: number): void {
  held.set(tree, { packs: new Set(tree.packs.keys()), bytes })
}

function lengthOf(parts: readonly Buffer[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

function writeFile(path: string, flags: 'a' | 'w', parts: readonly Buffer[]): void {
  const fd = openSync(path, flags, 0o600)
  try {
    for (const part of parts) for (let done = 0; done < part.length;) done += writeSync(fd, part, done)
  } finally {
    closeSync(fd)
  }
}

async function encodeGroup(changes: KnownTreeChanges, slice: TimeSlice | null): Promise<readonly Buffer[]> {
  const body = await encodeChanges(changes, slice)
  const head = Buffer.alloc(GROUP_HEADER_BYTES)
  head.writeUInt32LE(lengthOf(body), 0)
  head.writeUInt32LE(
    body.reduce((checksum, part) => zlib.crc32(part, checksum), 0),
    4,
  )
  return [head, ...body]
}

async function decodeGroups(bytes: Buffer<ArrayBuffer>, slice: TimeSlice | null): Promise<KnownTree> {
  const tree = emptyTree()
  let position = HEADER_BYTES
  while (position + GROUP_HEADER_BYTES <= bytes.length) {
    const start = position + GROUP_HEADER_BYTES
    const end = start + bytes.readUInt32LE(position)
    const body = bytes.subarray(start, end)
    if (end > bytes.length || zlib.crc32(body) !== bytes.readUInt32LE(position + 4)) break
    await decodeChanges(body, tree, slice)
    position = end
  }
  noteHeld(tree, position)
  // Groups of two writers could be mixed: then the parts are true, but not the whole.
  if (!isWhole(tree)) tree.root = ''
  return tree
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
