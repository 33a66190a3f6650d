import { lstatSync, type BigIntStats } from 'node:fs'
import type { FoundEntry } from './update-journal.ts'

/** A directory that cannot be renamed moves entry by entry; then a part of it may still be in its old place. */
export function isHalfMoved(found: BigIntStats | null, goes: FoundEntry, parked: BigIntStats): boolean {
  const areDirectories = found?.isDirectory() === true && goes.isDirectory && parked.isDirectory()
  return areDirectories && found.ino.toString() === goes.inode && found.ino !== parked.ino
}

/** Overlayfs gives a file of a lower layer another inode once it is changed, also by a second name, for some at any time. */
export function isParkedOne(found: BigIntStats, goes: FoundEntry, parked: BigIntStats): boolean {
  const isSame = found.ino === parked.ino || found.ino.toString() === goes.inode
  return isSame && hasTime(found, goes) && hasTime(parked, goes)
}

/** The change time of a file with several names also changes when another one of them is moved. */
export function foundEntry(stats: BigIntStats): FoundEntry {
  const isDirectory = stats.isDirectory()
  const ctimeNs = isDirectory || stats.nlink === 1n ? stats.ctimeNs.toString() : null
  return { isDirectory, inode: stats.ino.toString(), mtimeNs: stats.mtimeNs.toString(), ctimeNs }
}

export function isStill(stats: BigIntStats, found: FoundEntry): boolean {
  return (
    stats.isDirectory() === found.isDirectory &&
    isUnwritten(stats, found) &&
    (found.ctimeNs === null || stats.ctimeNs.toString() === found.ctimeNs)
  )
}

/** A second name changes the change time of a file, and nothing else of it. */
function isUnwritten(stats: BigIntStats, found: FoundEntry): boolean {
  return stats.ino.toString() === found.inode && hasTime(stats, found)
}

function hasTime(stats: BigIntStats, found: FoundEntry): boolean {
  return stats.mtimeNs.toString() === found.mtimeNs
}

export function lstatOrNull(path: string | Buffer): BigIntStats | null {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
}

/** Tells one file from another that got its inode when it was gone, and from what somebody has written into it. */
export function identityOf({ ino, mtimeNs }: Pick<BigIntStats, 'ino' | 'mtimeNs'>): string {
  return `${ino} ${mtimeNs}`
}

/** The same of a directory, whose time changes with what it holds. */
export function isSameInode(stats: BigIntStats, identity: string): boolean {
  return identity.startsWith(`${stats.ino} `)
}
