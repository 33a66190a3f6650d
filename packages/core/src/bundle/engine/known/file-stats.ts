import { constants, type BigIntStats } from 'node:fs'

/** What a save remembers of each file: a fourth of the memory of Node's own object. */
export interface FileStats {
  readonly dev: bigint
  readonly ino: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  /** With the bits of the file's type. */
  readonly mode: number
  readonly size: number
  readonly nlink: number
}

export function fileStats(stats: BigIntStats): FileStats {
  const { dev, ino, mtimeNs, ctimeNs } = stats
  return {
    dev,
    ino,
    mtimeNs,
    ctimeNs,
    mode: Number(stats.mode),
    size: Number(stats.size),
    nlink: Number(stats.nlink),
  }
}

export function isRegularFile(stats: FileStats): boolean {
  return (stats.mode & constants.S_IFMT) === constants.S_IFREG
}

/** The same inode with nothing changed since: any change of content gives another change time. */
export function isSameState(stats: FileStats, now: BigIntStats): boolean {
  return (
    now.ctimeNs === stats.ctimeNs &&
    now.mtimeNs === stats.mtimeNs &&
    now.ino === stats.ino &&
    now.dev === stats.dev &&
    Number(now.size) === stats.size &&
    Number(now.mode) === stats.mode
  )
}
