import { Buffer } from 'node:buffer'
import crypto from 'node:crypto'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { isRegularFile, type FileStats } from '../known/file-stats.ts'
import { joinPath } from '../known/known-tree.ts'
import type { FoundDirectory } from './walk-directory.ts'

/** The hard link group of a file, 0n when no other name of it is in the tree. */
export type HardLinks = (stats: FileStats) => bigint

/** Names a group by its first path, so that it keeps its name from save to save and from machine to machine. */
export function findHardLinks(found: readonly FoundDirectory[]): HardLinks {
  const names = new Map<string, { first: ByteString; count: number }>()
  for (const directory of found) {
    for (const entry of directory.entries) {
      if (entry.kind === 'directory' || entry.kind === 'same' || entry.stats === null) continue
      if (entry.stats.nlink < 2 || !isRegularFile(entry.stats)) continue
      const key = inodeKey(entry.stats)
      const group = names.get(key)
      if (group !== undefined) group.count += 1
      else {
        const name = entry.kind === 'leaf' ? entry.entry.name : entry.name
        names.set(key, { first: joinPath(directory.path, name), count: 1 })
      }
    }
  }
  const groups = new Map<string, bigint>()
  for (const [key, { first, count }] of names) if (count > 1) groups.set(key, groupOf(first))
  return (stats) => (stats.nlink < 2 ? 0n : (groups.get(inodeKey(stats)) ?? 0n))
}

export function inodeKey(stats: FileStats): string {
  return `${stats.dev}:${stats.ino}`
}

function groupOf(path: ByteString): bigint {
  const group = crypto.hash('sha256', Buffer.from(path, 'latin1'), 'buffer').readBigUInt64LE()
  return group === 0n ? 1n : group
}
