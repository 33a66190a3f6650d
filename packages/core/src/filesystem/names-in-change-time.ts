import { statfsSync } from 'node:fs'

/**
 * File systems of Linux that are known to give a directory a new change time with each name that comes, goes or changes,
 * as POSIX wants it. Many that are made by a program (FUSE) or stand for a cloud do not.
 */
const TYPES: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0x01021994, // tmpfs
  0x794c7630, // overlayfs, whose directories have the times of the layer that is written to
])

/** Whether a directory that has the change time it had when it was listed still holds the same names. */
export function showsNamesInChangeTime(directory: string | Buffer): boolean {
  if (process.platform !== 'linux') return false
  try {
    return TYPES.has(statfsSync(directory).type)
  } catch {
    return false
  }
}
