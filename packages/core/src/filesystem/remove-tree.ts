import { randomUUID } from 'node:crypto'
import { fchmodSync, fstatSync, rmdirSync, unlinkSync } from 'node:fs'
import {
  childPath,
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'
import { openAccessible } from './open-accessible.ts'
import { renameEntry } from './rename-entry.ts'
import { timeSlice, type TimeSlice } from './time-slice.ts'

/** Each level that is open takes one of the descriptors of the host, which may have 1,024 in all. */
const MAX_OPEN = 64

/**
 * Removes one entry of a directory with all that it holds. Never goes through a link, also when a directory is swapped
 * for one meanwhile. An absent entry is success.
 */
export async function removeTree(
  parent: DirectoryHandle,
  name: ByteString,
  slice: TimeSlice = timeSlice(),
): Promise<void> {
  await removeBelow(parent, name, { slice, top: null, level: 0, lifted: [] })
}

interface Removal {
  readonly slice: TimeSlice
  /** The directory that is removed, once it is open. */
  readonly top: DirectoryHandle | null
  readonly level: number
  /** Names in `top` of what lay too deep. */
  readonly lifted: ByteString[]
}

async function removeBelow(parent: DirectoryHandle, name: ByteString, removal: Removal): Promise<void> {
  if (removeLeaf(parent, name)) return
  const { slice, level, lifted } = removal
  let directory: DirectoryHandle
  try {
    directory = openAccessible(parent, name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  try {
    // Somebody without privileges cannot empty a directory that lacks these bits, even their own.
    if (fstatSync(directory.fd).uid === process.geteuid?.()) fchmodSync(directory.fd, 0o700)
    if (level === MAX_OPEN && removal.top !== null) {
      const place = randomUUID()
      renameEntry(childPath(parent, name), childPath(removal.top, place))
      lifted.push(place)
      return
    }
    const inner = { ...removal, top: removal.top ?? directory, level: level + 1 }
    for (const entry of listDirectory(directory)) {
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      if (entry.isDirectory() || !removeLeaf(directory, entry.name)) {
        await removeBelow(directory, entry.name, inner)
      }
    }
    if (level === 0) {
      for (let next = lifted.pop(); next !== undefined; next = lifted.pop()) {
        await removeBelow(directory, next, inner)
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
