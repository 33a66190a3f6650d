import { lstatSync, type BigIntStats } from 'node:fs'

/** What the file system said about a path when its content was read. */
export interface FileStamp {
  /** Type and permission bits (`st_mode`). */
  readonly mode: number
  readonly size: number
  readonly inode: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

export interface CapturedEntry extends FileStamp {
  readonly id: string
  /** False when the content may have changed after it was read without moving the stamp; such an entry is read again. */
  readonly settled: boolean
}

const TYPE_MASK = 0o170000
const LINK_TYPE = 0o120000
const FILE_TYPE = 0o100000

export function isLink(mode: number): boolean {
  return (mode & TYPE_MASK) === LINK_TYPE
}

export function isRegular(mode: number): boolean {
  return (mode & TYPE_MASK) === FILE_TYPE
}

const LONGEST_STEP_NS = 2_100_000_000n

/**
 * Timestamps move in steps of the kernel's clock tick (up to 10 ms), or of up to 2 seconds on file systems without
 * fractions. A change within the step of the last read can hide; what is younger than this is not settled.
 */
export function isSettled(stamp: Pick<FileStamp, 'ctimeNs'>, readAtNs: bigint): boolean {
  if (stamp.ctimeNs + LONGEST_STEP_NS < readAtNs) return true
  const step = stamp.ctimeNs % 1_000_000_000n === 0n ? LONGEST_STEP_NS : 50_000_000n
  return stamp.ctimeNs + step < readAtNs
}

export function isSameStamp(left: FileStamp, right: FileStamp): boolean {
  return (
    left.ctimeNs === right.ctimeNs &&
    left.mtimeNs === right.mtimeNs &&
    left.inode === right.inode &&
    left.size === right.size &&
    left.mode === right.mode
  )
}

export function stampOf(stats: BigIntStats): FileStamp {
  return {
    mode: Number(stats.mode),
    size: Number(stats.size),
    inode: stats.ino,
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
  }
}

/** No system takes a longer path. */
const MAX_PATH_BYTES = 4096

/** @returns `null` when there is nothing */
export function lstatOrNull(path: string | Buffer): BigIntStats | null {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOTDIR' || code === 'ELOOP') return null
    // Somewhere on the way is a link, and its text is longer than any path.
    if (code === 'ENAMETOOLONG' && Buffer.byteLength(path) < MAX_PATH_BYTES) return null
    throw error
  }
}

export function lstatIfAllowed(path: string | Buffer): BigIntStats | null | 'denied' {
  try {
    return lstatOrNull(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'ENAMETOOLONG') return 'denied'
    throw error
  }
}
