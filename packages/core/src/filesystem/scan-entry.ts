import type { BigIntStats } from 'node:fs'

/** One captured path of a directory tree, with the facts that tell later whether it was touched. */
export interface ScanEntry {
  /** Relative to the scanned directory, in the form of `decodePath`. */
  readonly path: string
  readonly type: 'file' | 'symlink' | 'directory'
  /** Permission bits; 0o777 for a symbolic link. */
  readonly mode: number
  readonly size: number
  /** SHA-256 of the content or of the link's text, in hexadecimal; empty for a directory. */
  readonly content: string
  readonly dev: number
  readonly ino: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  /** Whether an equal stat proves equal content; see {@link isSettled}. */
  readonly settled: boolean
}

/**
 * Coarsest time step of the file systems in use (FAT, some network file systems). A file changed within one step of
 * being read could change again without its times showing it.
 */
const TIME_STEP_NS = 2_000_000_000n

/**
 * Whether a file's change time lies far enough before the moment at which reading began, so that every later change
 * must give it another change time. (Git's rule for racy index entries, on the change time in nanoseconds, which
 * unlike the modification time cannot be set back.)
 */
export function isSettled(ctimeNs: bigint, readingBeganNs: bigint): boolean {
  return ctimeNs < readingBeganNs - TIME_STEP_NS
}

/** Whether a file still is the very inode, unchanged, that the entry was made from. */
export function isUntouched(entry: ScanEntry, stats: BigIntStats): boolean {
  return (
    entry.ctimeNs === stats.ctimeNs &&
    entry.mtimeNs === stats.mtimeNs &&
    entry.ino === stats.ino &&
    entry.size === Number(stats.size) &&
    entry.mode === (Number(stats.mode) & 0o7777) &&
    entry.dev === Number(stats.dev)
  )
}

/** The same for two entries. */
export function hasSameFacts(left: ScanEntry, right: ScanEntry): boolean {
  return (
    left.ctimeNs === right.ctimeNs &&
    left.mtimeNs === right.mtimeNs &&
    left.ino === right.ino &&
    left.size === right.size &&
    left.mode === right.mode &&
    left.dev === right.dev
  )
}

export function fileEntry(path: string, stats: BigIntStats, content: string, settled: boolean): ScanEntry {
  return {
    path,
    type: 'file',
    mode: Number(stats.mode) & 0o7777,
    size: Number(stats.size),
    content,
    dev: Number(stats.dev),
    ino: stats.ino,
    mtimeNs: stats.mtimeNs,
    ctimeNs: stats.ctimeNs,
    settled,
  }
}

/** An entry that is read anew each time: a symbolic link or an empty directory. */
export function plainEntry(
  path: string,
  type: 'symlink' | 'directory',
  mode: number,
  size: number,
  content: string,
): ScanEntry {
  return { path, type, mode, size, content, dev: 0, ino: 0n, mtimeNs: 0n, ctimeNs: 0n, settled: false }
}
