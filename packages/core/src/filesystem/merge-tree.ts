import { fchmodSync, fstatSync, futimesSync, lstatSync, rmdirSync, unlinkSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { WorkspaceError } from '../errors.ts'
import {
  childPath,
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'
import { makeAccessible, openUp } from './open-accessible.ts'
import { pathText } from './path-text.ts'
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
 * a link meanwhile leads nowhere (see `DirectoryHandle` for systems without `/proc`). One that its owner has closed is
 * opened up meanwhile.
 * @throws `CONFLICT`, before anything was moved, when a directory that holds something is where a file should go.
 */
export async function mergeTree(
  source: DirectoryHandle,
  destination: DirectoryHandle,
  options: MergeTreeOptions,
): Promise<void> {
  await walk(source, destination, '', {
    slice: timeSlice(options.signal),
    visit: refuseFullDirectories,
    leave: null,
  })
  const root = opened(destination, null)
  try {
    makeWritable(root)
    await walk(source, destination, '', {
      slice: timeSlice(),
      visit: moveEntry,
      leave(from, to, path) {
        if (options.isImplied(path)) return
        to.mode = from.mode & 0o777
        futimesSync(to.handle.fd, from.stats.atimeMs / 1000, from.stats.mtimeMs / 1000)
      },
    })
  } finally {
    putBackMode(root)
  }
}

/** Handles one entry; answers whether both sides are directories that are to be walked. */
type Visit = (from: DirectoryHandle, to: DirectoryHandle, name: ByteString, path: ByteString) => boolean

interface Walk {
  readonly slice: TimeSlice
  readonly visit: Visit
  /** Called after a directory was walked; `null` for a walk that changes nothing. */
  readonly leave: ((from: OpenedDirectory, to: OpenedDirectory, path: ByteString) => void) | null
}

interface OpenedDirectory {
  readonly handle: DirectoryHandle
  /** As it was when it was opened. */
  readonly stats: Stats
  /** What it is to have when it is closed. */
  mode: number
}

/** Somebody who keeps changing the destination is given up on after this many looks at one entry. */
const MAX_ATTEMPTS = 50
const changedMeanwhile = new Set(['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EISDIR', 'ENOTDIR', 'ELOOP', 'EPERM'])

async function walk(
  from: DirectoryHandle,
  to: DirectoryHandle,
  prefix: ByteString,
  context: Walk,
): Promise<void> {
  const { slice, visit, leave } = context
  for (const entry of listDirectory(from)) {
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const path = prefix + entry.name
    const pair = openPair(from, to, entry.name, path, visit)
    if (pair === null) continue
    try {
      if (leave !== null) {
        makeWritable(pair.from)
        makeWritable(pair.to)
      }
      await walk(pair.from.handle, pair.to.handle, `${path}/`, context)
      leave?.(pair.from, pair.to, path)
    } finally {
      close(pair.from)
      close(pair.to)
    }
  }
}

function openPair(
  from: DirectoryHandle,
  to: DirectoryHandle,
  name: ByteString,
  path: ByteString,
  visit: Visit,
): { from: OpenedDirectory; to: OpenedDirectory } | null {
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (!visit(from, to, name, path)) return null
      const innerTo = openInside(to, name)
      try {
        return { from: openInside(from, name), to: innerTo }
      } catch (error) {
        close(innerTo)
        throw error
      }
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === undefined || !changedMeanwhile.has(errno) || attempt === MAX_ATTEMPTS) throw error
    }
  }
}

/** Also one that its owner has closed. */
function openInside(parent: DirectoryHandle, name: ByteString): OpenedDirectory {
  const { handle, closedMode } = openUp(parent, name)
  return opened(handle, closedMode)
}

function opened(handle: DirectoryHandle, closedMode: number | null): OpenedDirectory {
  const stats = fstatSync(handle.fd)
  return { handle, stats, mode: closedMode ?? stats.mode & 0o7777 }
}

/** Only the owner can, and only an owner has to. */
function makeWritable({ handle, stats }: OpenedDirectory): void {
  if (stats.uid === process.geteuid?.()) makeAccessible(handle)
}

function close(directory: OpenedDirectory): void {
  try {
    putBackMode(directory)
  } finally {
    closeDirectory(directory.handle)
  }
}

function putBackMode({ handle, mode }: OpenedDirectory): void {
  if ((fstatSync(handle.fd).mode & 0o7777) !== mode) fchmodSync(handle.fd, mode)
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
  const directory = openInside(to, name)
  try {
    if (listDirectory(directory.handle).length > 0) throw occupied(path)
  } finally {
    close(directory)
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
  const shown = pathText(path)
  return new WorkspaceError(
    'CONFLICT',
    `Cannot merge ${JSON.stringify(shown)}: a directory that is not empty is where a file should go. Move it away, or load exactly.`,
    { details: { path: shown } },
  )
}
