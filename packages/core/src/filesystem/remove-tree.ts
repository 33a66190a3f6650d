import { fchmodSync, rmdirSync, unlinkSync } from 'node:fs'
import {
  childPath,
  closeDirectory,
  listDirectory,
  openChild,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'
import { timeSlice, type TimeSlice } from './time-slice.ts'

/**
 * Removes one entry of a directory with all that it holds. Never goes through a link, also when a directory is swapped
 * for one meanwhile. An absent entry is success.
 */
export async function removeTree(
  parent: DirectoryHandle,
  name: ByteString,
  slice: TimeSlice = timeSlice(),
): Promise<void> {
  if (removeLeaf(parent, name)) return
  let directory: DirectoryHandle
  try {
    directory = openChild(parent, name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  try {
    // Somebody without privileges cannot empty a directory that lacks these bits, even their own.
    fchmodSync(directory.fd, 0o700)
    for (const entry of listDirectory(directory)) {
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      if (entry.isDirectory() || !removeLeaf(directory, entry.name)) {
        await removeTree(directory, entry.name, slice)
      }
    }
  } finally {
    closeDirectory(directory)
  }
  rmdirSync(childPath(parent, name))
}

function removeLeaf(parent: DirectoryHandle, name: ByteString): boolean {
  try {
    unlinkSync(childPath(parent, name))
    return true
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT') return true
    if (errno === 'EISDIR' || errno === 'EPERM') return false
    throw error
  }
}
