import {
  chmodSync,
  closeSync,
  fchmodSync,
  fstatSync,
  futimesSync,
  lutimesSync,
  openSync,
  utimesSync,
} from 'node:fs'
import { childPath, type DirectoryHandle } from './directory-handle.ts'
import { fileTime } from './file-time.ts'
import { isAbsence } from './filesystem-error.ts'
import { OPEN_ENTRY } from './open-accessible.ts'
import type { EntryFields, FieldsUpdate } from './update-journal.ts'

/** Gives a file its mode and time, also one that may not be read. False when another one is there by now, or none. */
export function setFields(
  directory: DirectoryHandle,
  { name, found }: FieldsUpdate,
  fields: EntryFields,
): boolean {
  let fd: number
  try {
    fd = openSync(childPath(directory, name), OPEN_ENTRY)
  } catch (error) {
    if (isAbsence(error)) return false
    throw error
  }
  try {
    const stats = fstatSync(fd, { bigint: true })
    if (stats.ino.toString() !== found.inode || !stats.isFile()) return false
    const time = fileTime(fields.seconds, fields.nanoseconds)
    if (process.platform === 'linux') {
      const path = `/proc/self/fd/${fd}`
      chmodSync(path, fields.mode)
      utimesSync(path, time, time)
    } else {
      fchmodSync(fd, fields.mode)
      futimesSync(fd, time, time)
    }
    return true
  } finally {
    closeSync(fd)
  }
}

export function setDirectoryFields(directory: DirectoryHandle, fields: EntryFields): void {
  const time = fileTime(fields.seconds, fields.nanoseconds)
  if ((fstatSync(directory.fd).mode & 0o7777) !== fields.mode) fchmodSync(directory.fd, fields.mode)
  futimesSync(directory.fd, time, time)
}

/** By path, so that it can be set also of a directory that is closed to its owner. A link is not followed. */
export function setTime(path: string, { seconds, nanoseconds }: Omit<EntryFields, 'mode'>): void {
  const time = fileTime(seconds, nanoseconds)
  lutimesSync(path, time, time)
}
