import { fchmodSync, fstatSync, futimesSync, lstatSync, rmdirSync, unlinkSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { WorkspaceError } from '../errors.ts'
import {
  childPath,
  closeDirectory,
  listDirectory,
  openChild,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'
import { renameEntry } from './rename-entry.ts'
import { timeSlice, type TimeSlice } from './time-slice.ts'

export interface MergeTreeOptions {
  /** Directories that only exist to hold others: one that is there already keeps its mode and time. */
  readonly isImplied: (path: ByteString) => boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Moves everything in one directory into another on the same file system, entry by entry. A file or link in the way is
 * replaced, never followed; directories are merged. Both are walked by open handles, so a directory that is swapped for
 * a link meanwhile leads nowhere (see `DirectoryHandle` for systems without `/proc`).
 * @throws `CONFLICT`, before anything was moved, when a directory that holds something is where a file should go.
 */
export async function mergeTree(
  source: DirectoryHandle,
  destination: DirectoryHandle,
  options: MergeTreeOptions,
): Promise<void> {
  const slice = timeSlice(options.signal)
  await walk(source, destination, '', slice, refuseFullDirectories, () => undefined)
  await walk(source, destination, '', timeSlice(), moveEntry, (to, stats, path) => {
    if (options.isImplied(path)) return
    fchmodSync(to.fd, stats.mode & 0o777)
    futimesSync(to.fd, stats.atimeMs / 1000, stats.mtimeMs / 1000)
  })
}

/** Handles one entry; answers whether both sides are directories that are to be walked. */
type Visit = (from: DirectoryHandle, to: DirectoryHandle, name: ByteString, path: ByteString) => boolean
/** Called after a directory was walked, with what its source was before. */
type Leave = (to: DirectoryHandle, stats: Stats, path: ByteString) => void

/** Somebody who keeps changing the destination is given up on after this many looks at one entry. */
const MAX_ATTEMPTS = 50
const changedMeanwhile = new Set(['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EISDIR', 'ENOTDIR', 'ELOOP', 'EPERM'])

async function walk(
  from: DirectoryHandle,
  to: DirectoryHandle,
  prefix: ByteString,
  slice: TimeSlice,
  visit: Visit,
  leave: Leave,
): Promise<void> {
  for (const entry of listDirectory(from)) {
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const path = prefix + entry.name
    const pair = openPair(from, to, entry.name, path, visit)
    if (pair === null) continue
    try {
      const stats = fstatSync(pair.from.fd)
      await walk(pair.from, pair.to, `${path}/`, slice, visit, leave)
      leave(pair.to, stats, path)
    } finally {
      closeDirectory(pair.from)
      closeDirectory(pair.to)
    }
  }
}

function openPair(
  from: DirectoryHandle,
  to: DirectoryHandle,
  name: ByteString,
  path: ByteString,
  visit: Visit,
): { from: DirectoryHandle; to: DirectoryHandle } | null {
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (!visit(from, to, name, path)) return null
      const innerTo = openChild(to, name)
      try {
        return { from: openChild(from, name), to: innerTo }
      } catch (error) {
        closeDirectory(innerTo)
        throw error
      }
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === undefined || !changedMeanwhile.has(errno) || attempt === MAX_ATTEMPTS) throw error
    }
  }
}

function refuseFullDirectories(
  from: DirectoryHandle,
  to: DirectoryHandle,
  name: ByteString,
  path: ByteString,
): boolean {
  const there = lstatOrNull(to, name)
  if (there?.isDirectory() !== true) return false
  if (lstatSync(childPath(from, name)).isDirectory()) return true
  const directory = openChild(to, name)
  try {
    if (listDirectory(directory).length > 0) throw occupied(path)
  } finally {
    closeDirectory(directory)
  }
  return false
}

function moveEntry(from: DirectoryHandle, to: DirectoryHandle, name: ByteString, path: ByteString): boolean {
  const there = lstatOrNull(to, name)
  const isDirectory = lstatSync(childPath(from, name)).isDirectory()
  if (there?.isDirectory() === true) {
    if (isDirectory) return true
    try {
      rmdirSync(childPath(to, name))
    } catch (error) {
      if (errnoOf(error) === 'ENOTEMPTY') throw occupied(path)
      throw error
    }
  } else if (there !== null && isDirectory) {
    unlinkSync(childPath(to, name))
  }
  renameEntry(childPath(from, name), childPath(to, name))
  return false
}

function lstatOrNull(directory: DirectoryHandle, name: ByteString): Stats | null {
  try {
    return lstatSync(childPath(directory, name))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

function occupied(path: ByteString): WorkspaceError {
  const shown = JSON.stringify(path)
  return new WorkspaceError(
    'CONFLICT',
    `Cannot merge ${shown}: a directory that is not empty is where a file should go. Move it away, or load exactly.`,
    { details: { path } },
  )
}
