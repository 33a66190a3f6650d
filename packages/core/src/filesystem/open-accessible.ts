import { chmodSync, closeSync, constants, fchmodSync, fstatSync, lstatSync, openSync } from 'node:fs'
import {
  childPath,
  closeDirectory,
  openChild,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'

/** Opens without reading, so that no permission is needed: Linux's `O_PATH`, which Node does not name. */
export const OPEN_ENTRY =
  process.platform === 'linux'
    ? 0x20_0000 | constants.O_NOFOLLOW
    : constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Of what was opened as {@link OPEN_ENTRY}, which Linux lets nothing be changed through but by its path. */
export function setModeOfEntry(fd: number, mode: number): void {
  if (process.platform === 'linux') chmodSync(`/proc/self/fd/${fd}`, mode)
  else fchmodSync(fd, mode)
}

/** Somebody without privileges needs all three bits to change what a directory holds. */
export function makeAccessible(directory: DirectoryHandle): void {
  const mode = fstatSync(directory.fd).mode & 0o7777
  if ((mode & 0o700) !== 0o700) fchmodSync(directory.fd, openedMode(mode))
}

/** What opening a directory up makes of its permissions. */
export function openedMode(mode: number): number {
  return mode | 0o700
}

/** As `openChild`, also for an owner who closed the directory to everybody. */
export function openAccessible(parent: DirectoryHandle, name: ByteString): DirectoryHandle {
  return openUp(parent, name).handle
}

export interface OpenedUp {
  readonly handle: DirectoryHandle
  /** What the mode was before; `null` where what is in the directory could be reached as it was. */
  readonly closedMode: number | null
}

/** @throws `EACCES` or `EPERM` for a directory that is closed and not this user's to open */
export function openUp(parent: DirectoryHandle, name: ByteString): OpenedUp {
  let closedMode: number | null = null
  let handle: DirectoryHandle
  try {
    handle = openChild(parent, name)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES' || process.platform !== 'linux') throw error
    closedMode = openByName(parent, name)
    handle = openChild(parent, name)
  }
  try {
    return { handle, closedMode: openToSearch(handle) ?? closedMode }
  } catch (error) {
    closeDirectory(handle)
    throw error
  }
}

/** A directory without the right to search it can be listed, but nothing in it can be looked at. @returns its old mode, or `null` */
function openToSearch(handle: DirectoryHandle): number | null {
  try {
    lstatSync(childPath(handle, '.'))
    return null
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
  }
  const mode = fstatSync(handle.fd).mode & 0o7777
  fchmodSync(handle.fd, openedMode(mode))
  return mode
}

/** @returns its old mode */
function openByName(parent: DirectoryHandle, name: ByteString): number {
  const fd = openSync(childPath(parent, name), OPEN_ENTRY | constants.O_DIRECTORY)
  try {
    const mode = fstatSync(fd).mode & 0o7777
    setModeOfEntry(fd, openedMode(mode))
    return mode
  } finally {
    closeSync(fd)
  }
}
