import { closeSync, constants, fchmodSync, futimesSync, openSync, writeSync } from 'node:fs'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { EARLIEST_SECONDS, fileTime as exactFileTime, LATEST_SECONDS } from '../../filesystem/file-time.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { refused } from './archive-error.ts'

export interface FileFacts {
  readonly mode: number
  /** Seconds since 1970. */
  readonly mtime: number
}

const CREATE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** A file that holds no hole, by the four calls that are the fewest. */
export function writeFile(path: string | Buffer, facts: FileFacts, bytes: Uint8Array, umask: number): void {
  const fd = createFile(path, facts.mode, umask)
  try {
    if (bytes.length > 0) writeAt(fd, bytes, 0)
    setTime(fd, facts.mtime)
  } finally {
    closeSync(fd)
  }
}

export function createFile(path: string | Buffer, mode: number, umask: number): number {
  const fd = openSync(path, CREATE_FLAGS, mode)
  if ((mode & umask) === 0) return fd
  try {
    fchmodSync(fd, mode)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

export function writeAt(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0
  while (done < bytes.length) done += writeSync(fd, bytes, done, bytes.length - done, position + done)
}

export function setTime(fd: number, mtime: number): void {
  const time = fileTime(mtime)
  futimesSync(fd, time, time)
}

/** A time in seconds as Node's `utimes` functions take it, exact to the microsecond. */
export function fileTime(time: number): number | string {
  const clamped = Math.min(Math.max(time, EARLIEST_SECONDS), LATEST_SECONDS)
  // Of microseconds, a double holds the 64th parts of a second exactly: nothing of them is cut off.
  if (Number.isInteger(clamped * 64)) return clamped < 0 ? String(clamped) : clamped
  const seconds = Math.floor(clamped)
  return exactFileTime(seconds, Math.round((clamped - seconds) * 1e6) * 1000)
}

/** `EEXIST` in a directory that only this writer knows: its names are not as different as the archive's. */
export function exclusive<T>(path: ByteString, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    throw refused('UNSAFE_PATH', path, 'this file system takes its name for that of another entry')
  }
}
