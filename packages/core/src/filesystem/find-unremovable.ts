import { accessSync, constants, fstatSync, lstatSync } from 'node:fs'
import { WorkspaceError } from '../errors.ts'
import {
  childPath,
  closeDirectory,
  listDirectory,
  openChild,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf, isAbsence } from './filesystem-error.ts'
import { pathText } from './path-text.ts'
import type { TimeSlice } from './time-slice.ts'

/** Whether this user can take out what a directory holds: its owner can give themselves the right to. */
export function canEmpty(directory: DirectoryHandle): boolean {
  if (fstatSync(directory.fd).uid === process.geteuid?.()) return true
  try {
    accessSync(childPath(directory, '.'), constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The first directory below, or this one (''), that holds something which this user cannot take out; `null`: all can go. */
export async function findUnremovable(
  directory: DirectoryHandle,
  slice: TimeSlice,
  path: ByteString = '',
): Promise<ByteString | null> {
  const entries = listDirectory(directory)
  if (entries.length > 0 && !canEmpty(directory)) return path
  for (const entry of entries) {
    if (!entry.isDirectory()) continue
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const below = path === '' ? entry.name : `${path}/${entry.name}`
    const inside = openOrNull(directory, entry.name)
    if (inside === null) continue
    if (inside === 'closed') return below
    const found = await findUnremovable(inside, slice, below).finally(() => closeDirectory(inside))
    if (found !== null) return found
  }
  return null
}

/** `closed`: it is somebody else's. One that its own owner has closed is taken for one that can be emptied: `null`. */
function openOrNull(parent: DirectoryHandle, name: ByteString): DirectoryHandle | 'closed' | null {
  try {
    return openChild(parent, name)
  } catch (error) {
    if (isAbsence(error)) return null
    if (errnoOf(error) !== 'EACCES') throw error
    return lstatSync(childPath(parent, name)).uid === process.geteuid?.() ? null : 'closed'
  }
}

/** @param action such as `load` */
export function unremovable(action: string, bytes: ByteString): WorkspaceError {
  const path = pathText(bytes)
  return new WorkspaceError(
    'ACCESS_DENIED',
    `Cannot ${action}: ${JSON.stringify(path)} has to go, and this user may not take out what it holds. Nothing was changed. Have its owner remove it.`,
    { details: { path } },
  )
}
