import {
  closeSync,
  existsSync,
  fchmodSync,
  fstatSync,
  futimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { closeDirectory, listDirectory, openRoot, toByteString, type ByteString } from './directory-handle.ts'
import { fileTime } from './file-time.ts'
import { errnoOf } from './filesystem-error.ts'
import { mergeEntry, moveEntry, type EntryPlace } from './move-entry.ts'
import { renameEntry } from './rename-entry.ts'
import { isWorkDirectoryName } from './work-name.ts'

/** Marks in a work directory that tell how far its process came. */
const FILLING = 'filling'
const MOVING_OUT = 'moving-out'
const MOVING_IN = 'moving-in'

/**
 * Gives a directory the content that is prepared as `new` in its work directory; what it held is in `old` afterwards.
 *
 * An absent or empty directory is replaced in one step. A full one takes two renames: killed exactly between them,
 * nothing is at the path until `recoverDirectory` puts the old directory back. A directory that cannot be renamed
 * keeps its place and has its entries swapped one by one; that is journaled and `recoverDirectory` ends it.
 */
export function swapDirectory(work: string, target: string, keepDirectory: boolean): void {
  if (keepDirectory) {
    swapEntries(work, target)
    return
  }
  const fresh = join(work, 'new')
  const parked = join(work, 'old')
  try {
    renameEntry(fresh, target)
    return
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EBUSY') {
      swapEntries(work, target)
      return
    }
    if (errno !== 'ENOTEMPTY' && errno !== 'EEXIST' && errno !== 'EPERM') throw error
  }
  try {
    renameEntry(target, parked)
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw error
    // A lower layer of overlayfs has it.
    swapEntries(work, target)
    return
  }
  try {
    renameEntry(fresh, target)
  } catch (error) {
    renameEntry(parked, target)
    throw error
  }
}

/** What a directory itself is to have; `mtime: null` leaves its time as it comes. */
export interface RootFields {
  readonly mode: number
  readonly mtime: { readonly seconds: number; readonly nanoseconds: number } | null
}

/**
 * Gives a directory that is absent or empty the content that is prepared as `new`, in one step where the directory can
 * be replaced; else entry by entry, which `recoverDirectory` ends.
 * @throws `CONFLICT` when it is not empty any more; nothing is changed then
 */
export function fillDirectory(
  work: string,
  target: string,
  keepDirectory: boolean,
  fields: RootFields,
): void {
  const fresh = join(work, 'new')
  // Before the rename, so that nobody ever sees the new content with other fields.
  setRootFields(fresh, fields)
  const temporary = join(work, 'filling.new')
  writeFileSync(temporary, JSON.stringify(fields), { flag: 'wx', mode: 0o600 })
  renameSync(temporary, join(work, FILLING))
  try {
    if (keepDirectory || !tryReplace(fresh, target)) fillEntries(work, target)
  } catch (error) {
    if (!isMovingIn(work)) unlinkSync(join(work, FILLING))
    throw error
  }
  setRootFields(target, fields)
}

/** `null`: filling a directory has not begun. */
export function readFilling(work: string): RootFields | null {
  try {
    return JSON.parse(readFileSync(join(work, FILLING), 'utf8')) as RootFields
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

export function setRootFields(path: string, { mode, mtime }: RootFields): void {
  const handle = openRoot(toByteString(path))
  try {
    if ((fstatSync(handle.fd).mode & 0o7777) !== mode) fchmodSync(handle.fd, mode)
    if (mtime === null) return
    const time = fileTime(mtime.seconds, mtime.nanoseconds)
    futimesSync(handle.fd, time, time)
  } finally {
    closeDirectory(handle)
  }
}

/** False for a directory that has to keep its place. */
function tryReplace(fresh: string, target: string): boolean {
  try {
    renameEntry(fresh, target)
    return true
  } catch (error) {
    const canFill = ['ENOTEMPTY', 'EEXIST', 'EBUSY', 'EPERM'].includes(errnoOf(error) ?? '')
    if (!canFill || !existsSync(target)) throw error
    return false
  }
}

function fillEntries(work: string, target: string): void {
  const fresh = join(work, 'new')
  if (listContent(target).length > 0) {
    throw new WorkspaceError(
      'CONFLICT',
      `${JSON.stringify(target)} was empty, and somebody has put something into it meanwhile. Nothing was changed; load again.`,
      { details: { path: target } },
    )
  }
  const names = listContent(fresh)
  mark(work, MOVING_IN)
  try {
    moveEntries(fresh, target)
  } catch (error) {
    const left = new Set(listContent(fresh))
    moveEntries(target, fresh, new Set(names.filter((name) => !left.has(name))))
    unmark(work, MOVING_IN)
    throw error
  }
}

function listContent(path: string): ByteString[] {
  const handle = openRoot(toByteString(path))
  try {
    return listDirectory(handle)
      .map(({ name }) => name)
      .filter((name) => !isWorkDirectoryName(name))
  } finally {
    closeDirectory(handle)
  }
}

function swapEntries(work: string, target: string): void {
  mkdirSync(join(work, 'old'), { mode: 0o700 })
  mark(work, MOVING_OUT)
  try {
    moveEntries(target, join(work, 'old'))
    mark(work, MOVING_IN)
    moveEntries(join(work, 'new'), target)
  } catch (error) {
    try {
      if (isMovingIn(work)) moveEntries(target, join(work, 'new'))
    } catch {
      // The old entries go back in any case; the first error is the one to report.
    }
    // A mark that stayed would have `recoverDirectory` move the new entries in again.
    unmark(work, MOVING_IN)
    moveEntries(join(work, 'old'), target, undefined, mergeEntry)
    unmark(work, MOVING_OUT)
    throw error
  }
}

/** Ends a swap of entries that was cut short: forward once the new entries had begun to go in, else back. */
export function finishEntrySwap(work: string, target: string): void {
  if (isMovingIn(work)) moveEntries(join(work, 'new'), target)
  else if (existsSync(join(work, MOVING_OUT))) moveEntries(join(work, 'old'), target, undefined, mergeEntry)
}

export function isMovingIn(work: string): boolean {
  return existsSync(join(work, MOVING_IN))
}

function mark(work: string, name: string): void {
  closeSync(openSync(join(work, name), 'wx', 0o600))
}

function unmark(work: string, name: string): void {
  if (existsSync(join(work, name))) unlinkSync(join(work, name))
}

/** Work directories stay where they are: one of them is the place that entries are moved from or to. */
function moveEntries(
  from: string,
  to: string,
  names?: ReadonlySet<ByteString>,
  move: (from: EntryPlace, to: EntryPlace) => void = moveEntry,
): void {
  const source = openRoot(toByteString(from))
  try {
    const destination = openRoot(toByteString(to))
    try {
      for (const { name } of listDirectory(source)) {
        if (isWorkDirectoryName(name) || names?.has(name) === false) continue
        move({ directory: source, name }, { directory: destination, name })
      }
    } finally {
      closeDirectory(destination)
    }
  } finally {
    closeDirectory(source)
  }
}
