import { chmodSync, closeSync, constants, fchmodSync, fstatSync, openSync } from 'node:fs'
import {
  childPath,
  openChild,
  toFilePath,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'

/** Opens without reading, so that no permission is needed: Linux's `O_PATH`, which Node does not name. */
export const OPEN_ENTRY =
  process.platform === 'linux'
    ? 0x20_0000 | constants.O_NOFOLLOW
    : constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Somebody without privileges needs all three bits to change what a directory holds. */
export function makeAccessible(directory: DirectoryHandle): void {
  const mode = fstatSync(directory.fd).mode & 0o7777
  if ((mode & 0o700) !== 0o700) fchmodSync(directory.fd, mode | 0o700)
}

/** As `openChild`, also for an owner who closed the directory to everybody. */
export function openAccessible(parent: DirectoryHandle, name: ByteString): DirectoryHandle {
  try {
    return openChild(parent, name)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES' || process.platform !== 'linux') throw error
  }
  const fd = openSync(childPath(parent, name), OPEN_ENTRY | constants.O_DIRECTORY)
  try {
    chmodSync(toFilePath(`/proc/self/fd/${fd}`), (fstatSync(fd).mode & 0o7777) | 0o700)
  } finally {
    closeSync(fd)
  }
  return openChild(parent, name)
}
