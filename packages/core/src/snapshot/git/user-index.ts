import { createHash } from 'node:crypto'
import type { BytePath } from '../byte-path.ts'
import { lstatOrNull } from './file-stamp.ts'
import { readRegularFile } from './read-regular-file.ts'

/** What the user's index says about one path. */
export interface IndexEntry {
  readonly path: BytePath
  readonly id: string
  /** git's own type bits: 0o100644, 0o100755, 0o120000, 0o160000 (another repository). */
  readonly mode: number
  readonly size: number
  readonly inode: number
  /** Zero when the index has no times for it. */
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  /** When the index itself was written. */
  readonly indexWrittenAtNs: bigint
  /** Left out of a sparse checkout. */
  readonly skipWorktree: boolean
}

export interface UserIndex {
  readonly entries: readonly IndexEntry[]
  /** Ids of trees that git has made from it; some may be in no repository any more. */
  readonly trees: readonly string[]
}

const EXTENDED = 0x4000
const SKIP_WORKTREE = 0x4000
const STAGE_MASK = 0x3000
const STAT_BYTES = 40
const MAX_INDEX_BYTES = 1 << 30

/**
 * Reads an index file (versions 2 to 4) without git, so that no configuration, lock or refresh is involved.
 * @returns `null` when it needs git to be read: split or sparse, of an unknown version, or not whole.
 */
export function readUserIndex(file: string | Buffer, format: 'sha1' | 'sha256'): UserIndex | null {
  const writtenAt = lstatOrNull(file)?.mtimeNs ?? 0n
  const bytes = readRegularFile(file, { maxBytes: MAX_INDEX_BYTES, followLink: true })
  // What is no file is no index; git would wait for a pipe's other end.
  if (bytes === null) return lstatOrNull(file)?.isFile() === true ? null : { entries: [], trees: [] }
  try {
    return parseIndex(bytes, format, writtenAt)
  } catch (error) {
    // Without a checksum in it, a file that is no whole index shows only by what it says.
    if (error instanceof RangeError) return null
    throw error
  }
}

/** Whether a file is an index that was written to its end; something may have cut it, or rewrite it in place. */
export function isWholeIndex(file: string | Buffer, format: 'sha1' | 'sha256'): boolean {
  const bytes = readRegularFile(file, { maxBytes: MAX_INDEX_BYTES, followLink: true })
  const end = (bytes?.length ?? 0) - (format === 'sha1' ? 20 : 32)
  return bytes !== null && end >= 12 && isWhole(bytes, end, format)
}

export function parseIndex(
  bytes: Buffer,
  format: 'sha1' | 'sha256',
  indexWrittenAtNs: bigint,
): UserIndex | null {
  const idBytes = format === 'sha1' ? 20 : 32
  const end = bytes.length - idBytes
  const version = end < 12 || bytes.toString('latin1', 0, 4) !== 'DIRC' ? 0 : bytes.readUInt32BE(4)
  if (version < 2 || version > 4 || !isWhole(bytes, end, format)) return null
  const entries: IndexEntry[] = []
  let position = 12
  let path = ''
  for (let count = bytes.readUInt32BE(8); count > 0; count -= 1) {
    if (position + STAT_BYTES + idBytes + 2 > end) return null
    const start = position
    const flags = bytes.readUInt16BE(start + STAT_BYTES + idBytes)
    position += STAT_BYTES + idBytes + 2
    let extended = 0
    if ((flags & EXTENDED) !== 0) {
      extended = bytes.readUInt16BE(position)
      position += 2
    }
    let kept = ''
    if (version === 4) {
      const stripped = readOffset(bytes, position)
      position = stripped.next
      kept = path.slice(0, path.length - stripped.value)
    }
    const nameEnd = bytes.indexOf(0, position)
    if (nameEnd === -1 || nameEnd >= end) return null
    path = kept + bytes.toString('latin1', position, nameEnd)
    position = version === 4 ? nameEnd + 1 : start + ((nameEnd - start + 8) & ~7)
    const mode = bytes.readUInt32BE(start + 24)
    if (mode === 0o040000) return null
    if ((flags & STAGE_MASK) !== 0 && entries.at(-1)?.path === path) continue
    entries.push(readEntry(bytes, start, idBytes, { path, mode, flags, extended, indexWrittenAtNs }))
  }
  const extensions = readExtensions(bytes, position, end)
  if (extensions.some(({ name }) => name === 'link' || name === 'sdir')) return null
  const trees = extensions.find(({ name }) => name === 'TREE')
  const inside = entries.filter((entry) => !leadsOut(entry.path))
  return { entries: inside, trees: trees === undefined ? [] : readTreeIds(trees.content, idBytes) }
}

/** No git writes such a path; whoever did wants us to look at other places. */
function leadsOut(path: BytePath): boolean {
  return path.startsWith('/') || (path.includes('..') && path.split('/').includes('..'))
}

function readEntry(
  bytes: Buffer,
  start: number,
  idBytes: number,
  known: { path: string; mode: number; flags: number; extended: number; indexWrittenAtNs: bigint },
): IndexEntry {
  // Unmerged entries name versions of a merge, not what is in the directory.
  const isUnmerged = (known.flags & STAGE_MASK) !== 0
  return {
    path: known.path,
    id: bytes.toString('hex', start + STAT_BYTES, start + STAT_BYTES + idBytes),
    mode: known.mode,
    size: bytes.readUInt32BE(start + 36),
    inode: bytes.readUInt32BE(start + 20),
    mtimeNs: isUnmerged ? 0n : readTime(bytes, start + 8),
    ctimeNs: isUnmerged ? 0n : readTime(bytes, start),
    indexWrittenAtNs: known.indexWrittenAtNs,
    skipWorktree: (known.extended & SKIP_WORKTREE) !== 0,
  }
}

function readTime(bytes: Buffer, position: number): bigint {
  return BigInt(bytes.readUInt32BE(position)) * 1_000_000_000n + BigInt(bytes.readUInt32BE(position + 4))
}

/** The offset encoding of pack files: 7 bits a byte, each continuation adds one. */
function readOffset(bytes: Buffer, start: number): { value: number; next: number } {
  let position = start
  let byte = bytes[position++] ?? 0
  let value = byte & 127
  while ((byte & 128) !== 0) {
    byte = bytes[position++] ?? 0
    value = (value + 1) * 128 + (byte & 127)
  }
  return { value, next: position }
}

/** The trailer proves that the file was read whole; all zeros when git was told to leave it out. */
function isWhole(bytes: Buffer, end: number, format: 'sha1' | 'sha256'): boolean {
  const trailer = bytes.subarray(end)
  if (trailer.every((byte) => byte === 0)) return true
  return createHash(format).update(bytes.subarray(0, end)).digest().equals(trailer)
}

interface Extension {
  readonly name: string
  readonly content: Buffer
}

/** `link`: most entries are in another file. `sdir`: some entries are directories. `TREE`: trees that git has made. */
function readExtensions(bytes: Buffer, start: number, end: number): Extension[] {
  const found: Extension[] = []
  let position = start
  while (position + 8 <= end) {
    const name = bytes.toString('latin1', position, position + 4)
    const length = bytes.readUInt32BE(position + 4)
    found.push({ name, content: bytes.subarray(position + 8, position + 8 + length) })
    position += 8 + length
  }
  return found
}

/** For each directory: its name, a zero byte, `entries subtrees` in decimal and, where it is known, the tree's id. */
function readTreeIds(content: Buffer, idBytes: number): string[] {
  const ids: string[] = []
  for (let position = 0; position < content.length;) {
    const nameEnd = content.indexOf(0, position)
    const lineEnd = nameEnd === -1 ? -1 : content.indexOf(10, nameEnd)
    if (lineEnd === -1) break
    position = lineEnd + 1
    if (content[nameEnd + 1] === 0x2d) continue
    ids.push(content.toString('hex', position, position + idBytes))
    position += idBytes
  }
  return ids
}
