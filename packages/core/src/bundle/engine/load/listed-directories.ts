import type { BigIntStats } from 'node:fs'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { hasKnownStats, isSettled } from '../known/known-stats.ts'
import {
  findIndex,
  nameOf,
  parentOf,
  STATS_PER_ENTRY,
  type KnownDirectory,
  type KnownTree,
} from '../known/known-tree.ts'
import type { TreeDirectory } from '../read/tree-reader.ts'

/** What a load learns about directories, so that the next load or save need not list them: see `walkDirectory`. */
export interface ListedDirectories {
  /** Whether a directory that has not changed holds the same names. */
  showsNames(stats: BigIntStats): boolean
  /** Whether a directory has not changed since it held the names that are known. @param stats what it is now */
  isAsListed(directory: TreeDirectory, stats: BigIntStats): boolean
  /** Takes a directory that holds the names that are known. @param stats what it was before it was listed */
  add(directory: TreeDirectory, stats: BigIntStats, isAsListed: boolean): void
  /** Puts what was taken down beside the names of the directories, in copies of what they are in. */
  noteIn(directories: Map<ByteString, KnownDirectory>): void
}

/** @param device of the file system whose directories show in their change time whether names came or went; or `null` */
export function createListedDirectories(known: KnownTree, device: bigint | null): ListedDirectories {
  const startedNs = BigInt(Date.now()) * 1_000_000n
  const listed = new Map<ByteString, BigIntStats>()

  return {
    showsNames: (stats) => stats.dev === device,
    isAsListed({ path, node }, stats) {
      const parent = known.directories.get(parentOf(path))
      if (parent === undefined || path === '' || stats.dev !== device) return false
      const index = findIndex(parent.entries, nameOf(path))
      const entry = parent.entries[index]
      return entry?.type === 'directory' && entry.node === node && hasKnownStats(parent, index, stats)
    },
    add({ path }, stats, isAsListed) {
      const isProof = stats.dev === device && (isAsListed || isSettled(stats, startedNs))
      if (isProof && path !== '') listed.set(path, stats)
    },
    noteIn(directories) {
      const copied = new Set<ByteString>()
      for (const [path, stats] of listed) {
        const parent = parentOf(path)
        const directory = directories.get(parent)
        const index = findIndex(directory?.entries ?? [], nameOf(path))
        if (directory === undefined || index < 0 || hasKnownStats(directory, index, stats)) continue
        const rows = copied.has(parent) ? directory.stats : directory.stats.slice()
        rows.set([stats.dev, stats.ino, stats.ctimeNs, stats.mtimeNs], index * STATS_PER_ENTRY)
        if (!copied.has(parent)) directories.set(parent, { ...directory, stats: rows })
        copied.add(parent)
      }
    },
  }
}
