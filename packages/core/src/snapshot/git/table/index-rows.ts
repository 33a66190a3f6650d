import type { BytePath } from '../../byte-path.ts'
import { isLink, isSettled, type FileStamp } from './file-stamp.ts'
import { sharePaths, type SharedPaths } from './shared-columns.ts'

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

/**
 * Entries of an index as the bytes that they are, in memory that threads share: most are looked at once, and an object
 * for each would take longer than the look. Sorted by path, each path once.
 */
export interface IndexRows extends SharedPaths {
  readonly bytes: Uint8Array
  /** Where in them each entry begins. */
  readonly starts: Uint32Array
  readonly idBytes: number
  /** When the index itself was written. */
  readonly writtenAtNs: bigint
}

/** What an index says that a file looked like. */
export type IndexStamp = Pick<
  IndexEntry,
  'mode' | 'size' | 'inode' | 'mtimeNs' | 'ctimeNs' | 'indexWrittenAtNs'
>

export const STAT_BYTES = 40
export const EXTENDED = 0x4000
export const STAGE_MASK = 0x3000
const SKIP_WORKTREE = 0x40
const LINK = 0o120000
/** The type of another repository's place. */
export const GITLINK = 0o160000

/** Some of the rows, in another order, by other paths or both. */
export function selectRows(
  { bytes, starts, idBytes, writtenAtNs }: IndexRows,
  rows: readonly number[],
  paths: readonly BytePath[],
): IndexRows {
  const chosen = sharedNumbersOf(rows.length)
  for (const [at, row] of rows.entries()) chosen[at] = starts[row] ?? 0
  return { bytes, starts: chosen, idBytes, writtenAtNs, ...sharePaths(paths) }
}

export function sharedNumbersOf(count: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(count * Uint32Array.BYTES_PER_ELEMENT))
}

export function indexStampAt({ bytes, starts, idBytes, writtenAtNs }: IndexRows, row: number): IndexStamp {
  const start = starts[row] ?? 0
  // Unmerged entries name versions of a merge, not what is in the directory.
  const isUnmerged = (((bytes[start + STAT_BYTES + idBytes] ?? 0) << 8) & STAGE_MASK) !== 0
  return {
    mode: readNumber(bytes, start + 24),
    size: readNumber(bytes, start + 36),
    inode: readNumber(bytes, start + 20),
    mtimeNs: isUnmerged ? 0n : readTime(bytes, start + 8),
    ctimeNs: isUnmerged ? 0n : readTime(bytes, start),
    indexWrittenAtNs: writtenAtNs,
  }
}

export function modeOfRow({ bytes, starts }: IndexRows, row: number): number {
  return readNumber(bytes, (starts[row] ?? 0) + 24)
}

export function indexEntryAt(rows: IndexRows, row: number, path: BytePath): IndexEntry {
  const { bytes, starts, idBytes } = rows
  const idAt = (starts[row] ?? 0) + STAT_BYTES
  const flagsAt = idAt + idBytes
  const isExtended = (((bytes[flagsAt] ?? 0) << 8) & EXTENDED) !== 0
  return {
    path,
    id: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex', idAt, flagsAt),
    ...indexStampAt(rows, row),
    skipWorktree: isExtended && ((bytes[flagsAt + 2] ?? 0) & SKIP_WORKTREE) !== 0,
  }
}

/** The ids of the rows, one after the other. */
export function idsOfRows({ bytes, starts, idBytes }: IndexRows): Uint8Array {
  const ids = new Uint8Array(starts.length * idBytes)
  let to = 0
  for (const start of starts) {
    for (let from = start + STAT_BYTES, end = from + idBytes; from < end; from += 1)
      ids[to++] = bytes[from] ?? 0
  }
  return ids
}

/**
 * Whether the file is the one that the index was written for, by all that the index knows of it. git itself compares
 * whole seconds and misses what changes within one (an edit that restores the old time, say).
 */
export function hasSameStamp(entry: IndexStamp, stamp: FileStamp): boolean {
  return (
    entry.mtimeNs === stamp.mtimeNs &&
    entry.ctimeNs === stamp.ctimeNs &&
    entry.size === stamp.size % 2 ** 32 &&
    entry.inode === Number(stamp.inode) >>> 0 &&
    (entry.mode === LINK) === isLink(stamp.mode)
  )
}

/** The same, and it cannot have changed since without a new stamp. */
export function isUntouched(entry: IndexStamp, stamp: FileStamp): boolean {
  return hasSameStamp(entry, stamp) && isSettled(stamp, entry.indexWrittenAtNs)
}

function readNumber(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) * 2 ** 24 +
    (((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0))
  )
}

function readTime(bytes: Uint8Array, at: number): bigint {
  return BigInt(readNumber(bytes, at)) * 1_000_000_000n + BigInt(readNumber(bytes, at + 4))
}
