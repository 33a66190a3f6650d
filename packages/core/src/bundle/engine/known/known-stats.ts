import { constants, type BigIntStats } from 'node:fs'
import type { FileEntry } from '../../format/tree-node.ts'
import type { FileStats } from './file-stats.ts'
import { STATS_PER_ENTRY, type KnownDirectory } from './known-tree.ts'

/** To compare numbers of 64 bits without an allocation for each. */
const found64 = new BigInt64Array(STATS_PER_ENTRY)
const found32 = new Int32Array(found64.buffer)

/** The very inode, unchanged since its content was read. A change of anything gives another change time. */
export function isUntouched(known: KnownDirectory, index: number, stats: BigIntStats): boolean {
  const entry = known.entries[index]
  if (entry === undefined || entry.type === 'directory') return false
  if (entry.mode !== (Number(stats.mode) & 0o7777)) return false
  const isSame =
    entry.type === 'symlink' ? stats.isSymbolicLink() : stats.isFile() && entry.size === Number(stats.size)
  return isSame && hasKnownStats(known, index, stats)
}

/** Whether the device, the inode and the times are those that are known. */
export function hasKnownStats(known: KnownDirectory, index: number, stats: BigIntStats): boolean {
  found64[0] = stats.dev
  found64[1] = stats.ino
  found64[2] = stats.ctimeNs
  found64[3] = stats.mtimeNs
  const { buffer, byteOffset } = known.stats
  const known32 = new Int32Array(buffer, byteOffset + index * STATS_PER_ENTRY * 8, 2 * STATS_PER_ENTRY)
  for (let half = 0; half < found32.length; half += 1) if (known32[half] !== found32[half]) return false
  return true
}

/**
 * A file changed this shortly before it was read may change again without its times showing it on some file systems
 * (FAT, network file systems), so it is read again by the next save (Git's rule for racy entries).
 */
const TIME_STEP_NS = 2_000_000_000n

/** @param startedNs when the walk began that saw these times */
export function isSettled({ ctimeNs }: Pick<FileStats, 'ctimeNs'>, startedNs: bigint): boolean {
  return ctimeNs < startedNs - TIME_STEP_NS
}

/** What `known` says about a file that is as it was and has no other name. */
export function knownStats(known: KnownDirectory, index: number, { mode, size }: FileEntry): FileStats {
  const row = index * STATS_PER_ENTRY
  const [dev = 0n, ino = 0n, ctimeNs = 0n, mtimeNs = 0n] = known.stats.subarray(row, row + STATS_PER_ENTRY)
  return { dev, ino, ctimeNs, mtimeNs, mode: constants.S_IFREG | mode, size, nlink: 1 }
}
