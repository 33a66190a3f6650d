import { fstatSync, linkSync, lstatSync, renameSync, type BigIntStats } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import {
  childPath,
  closeDirectory,
  openRealRoot,
  openRoot,
  toByteString,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf, isAbsence } from './filesystem-error.ts'
import { mergeEntry, moveEntry } from './move-entry.ts'
import { makeAccessible, openAccessible } from './open-accessible.ts'
import { pathText } from './path-text.ts'
import { renameEntry } from './rename-entry.ts'
import { setDirectoryFields, setFields } from './set-fields.ts'
import type { TimeSlice } from './time-slice.ts'
import type { DirectoryUpdate, EntryUpdate, FoundEntry, UpdateJournal } from './update-journal.ts'

/** What to do about an entry that somebody changed since the journal was written. */
export type OnForeignChange =
  /** Stop. */
  | 'refuse'
  /** Let it be and go on with the others. */
  | 'keep'

/**
 * Makes the changes of a journal, or those that are not made yet. Walks by open directories and follows no link, so
 * nothing outside the target changes whatever is swapped meanwhile.
 *
 * @returns the paths that were left alone because somebody had changed them
 * @throws `CONFLICT` with `onForeignChange: 'refuse'`; some changes are made then, {@link undoUpdate} takes them back.
 */
export async function applyUpdate(
  work: string,
  target: string,
  journal: UpdateJournal,
  onForeignChange: OnForeignChange,
  slice: TimeSlice,
): Promise<ByteString[]> {
  const kept: ByteString[] = []
  const foreign = (path: ByteString): void => {
    if (onForeignChange === 'refuse') throw changedMeanwhile(path)
    kept.push(path)
  }
  await visitDirectories(work, target, journal, slice, foreign, {
    enter(place, update) {
      for (const entry of update.entries) {
        if (!makeMove(place, entry)) foreign(join(...update.path, entry.name))
      }
      for (const fields of update.fields) {
        if (!setFields(place.directory, fields, fields.after)) foreign(join(...update.path, fields.name))
      }
    },
    leave: (place, update) => setDirectoryFields(place.directory, update.after),
  })
  return kept
}

/**
 * Takes back what {@link applyUpdate} has done of a journal, or what is left of that. There is no way forward from here.
 * @throws `CONFLICT` when somebody has put something in the place of what was there; everything else is taken back then, and
 * the rest by another call when that is gone
 */
export async function undoUpdate(
  work: string,
  target: string,
  journal: UpdateJournal,
  slice: TimeSlice,
): Promise<void> {
  const inTheWay: ByteString[] = []
  await visitDirectories(work, target, journal, slice, () => undefined, {
    enter(place, update) {
      for (const fields of update.fields) setFields(place.directory, fields, fields.before)
      for (const entry of update.entries.toReversed()) {
        try {
          moveBack(place, entry)
        } catch (error) {
          if (!OTHER_IN_PLACE.has(errnoOf(error) ?? '')) throw error
          inTheWay.push([...update.path, entry.name].join('/'))
        }
      }
    },
    leave: (place, update) => setDirectoryFields(place.directory, update.before),
  })
  if (inTheWay.length > 0) throw tookThePlace(inTheWay)
}

/** What a rename says that would have to replace a full directory, or a directory by a file, or the reverse. */
const OTHER_IN_PLACE = new Set(['ENOTEMPTY', 'EEXIST', 'EISDIR', 'ENOTDIR'])

interface Place {
  readonly directory: DirectoryHandle
  readonly fresh: DirectoryHandle
  readonly parked: DirectoryHandle
}

interface Visitor {
  enter(place: Place, update: DirectoryUpdate): void
  /** Called when everything below is done. */
  leave(place: Place, update: DirectoryUpdate): void
}

async function visitDirectories(
  work: string,
  target: string,
  journal: UpdateJournal,
  slice: TimeSlice,
  onAbsent: (path: ByteString) => void,
  visitor: Visitor,
): Promise<void> {
  const stack: { name: ByteString; place: Place; update: DirectoryUpdate | null }[] = []
  const fresh = openRoot(toByteString(join(work, 'new')))
  const parked = openRoot(toByteString(join(work, 'old')))
  const leave = (): void => {
    const level = stack.pop()
    if (level === undefined) return
    try {
      if (level.update !== null) visitor.leave(level.place, level.update)
    } finally {
      closeDirectory(level.place.directory)
    }
  }
  try {
    stack.push({
      name: '',
      place: { directory: openRealRoot(toByteString(target)), fresh, parked },
      update: null,
    })
    for (const update of journal.directories) {
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      while (!isBelow(stack, update.path)) leave()
      if (!descend(stack, update)) {
        onAbsent(update.path.join('/'))
        continue
      }
      const level = stack.at(-1)
      if (level === undefined) continue
      level.update = update
      makeAccessible(level.place.directory)
      visitor.enter(level.place, update)
    }
    while (stack.length > 0) leave()
  } finally {
    for (const level of stack) closeDirectory(level.place.directory)
    closeDirectory(fresh)
    closeDirectory(parked)
  }
}

function isBelow(stack: readonly { name: ByteString }[], path: readonly ByteString[]): boolean {
  if (stack.length - 1 > path.length) return false
  return stack.every((level, depth) => depth === 0 || level.name === path[depth - 1])
}

function descend(
  stack: { name: ByteString; place: Place; update: DirectoryUpdate | null }[],
  update: DirectoryUpdate,
): boolean {
  const depth = stack.length
  try {
    for (const name of update.path.slice(depth - 1)) {
      const level = stack.at(-1)
      if (level === undefined) return false
      stack.push({
        name,
        place: { ...level.place, directory: openAccessible(level.place.directory, name) },
        update: null,
      })
    }
    const inner = stack.at(-1)
    if (
      inner !== undefined &&
      fstatSync(inner.place.directory.fd, { bigint: true }).ino.toString() === update.inode
    )
      return true
  } catch (error) {
    if (!isAbsence(error)) throw error
  }
  for (const level of stack.splice(depth)) closeDirectory(level.place.directory)
  return false
}

/** False when somebody has changed the entry; makes only what is left to do. */
function makeMove({ directory, fresh, parked }: Place, { name, number, goes, comes }: EntryUpdate): boolean {
  const path = childPath(directory, name)
  const parkedPlace = { directory: parked, name: String(number) }
  const from = childPath(fresh, String(number))
  const to = childPath(parked, String(number))
  const coming = comes ? lstatOrNull(from) : null
  if (comes && coming === null) return true
  const old = goes === null ? null : lstatOrNull(to)
  const found = lstatOrNull(path)
  if (goes !== null && old !== null) {
    if (isHalfMoved(found, goes, old)) moveEntry({ directory, name }, parkedPlace)
    // Parked under a second name, and killed before the new file took its place: it may have been written to since.
    else if (found !== null && !isParkedOne(found, goes, old)) return false
  } else {
    if (goes === null) {
      if (found !== null) return false
    } else {
      if (found === null || !isStill(found, goes)) return false
      if (coming !== null && !coming.isDirectory() && !goes.isDirectory) linkOrRename(path, to)
      else moveEntry({ directory, name }, parkedPlace)
    }
  }
  if (comes) renameEntry(from, path)
  return true
}

function moveBack({ directory, fresh, parked }: Place, { name, number, goes, comes }: EntryUpdate): void {
  const path = childPath(directory, name)
  const old = childPath(parked, String(number))
  const back = childPath(fresh, String(number))
  if (goes === null) {
    if (comes && lstatOrNull(back) === null && lstatOrNull(path) !== null) renameEntry(path, back)
    return
  }
  const parkedEntry = lstatOrNull(old)
  if (parkedEntry === null) return
  if (isHalfMoved(lstatOrNull(path), goes, parkedEntry)) {
    mergeEntry({ directory: parked, name: String(number) }, { directory, name })
    return
  }
  const present = comes && lstatOrNull(back) === null ? lstatOrNull(path) : null
  if (present !== null && present.isDirectory() !== goes.isDirectory) renameEntry(path, back)
  renameEntry(old, path)
}

/** A directory that cannot be renamed moves entry by entry; then a part of it may still be in its old place. */
function isHalfMoved(found: BigIntStats | null, goes: FoundEntry, parked: BigIntStats): boolean {
  const areDirectories = found?.isDirectory() === true && goes.isDirectory && parked.isDirectory()
  return areDirectories && found.ino.toString() === goes.inode && found.ino !== parked.ino
}

/** Overlayfs gives a file of a lower layer another inode once it is changed, also by a second name, for some at any time. */
function isParkedOne(found: BigIntStats, goes: FoundEntry, parked: BigIntStats): boolean {
  const isSame = found.ino === parked.ino || found.ino.toString() === goes.inode
  return isSame && hasTime(found, goes) && hasTime(parked, goes)
}

/** A second name keeps the old file while the new one takes its place in one step: nobody ever finds nothing there. */
function linkOrRename(path: string | Buffer, to: string | Buffer): void {
  try {
    linkSync(path, to)
  } catch {
    renameSync(path, to)
  }
}

/** The change time of a file with several names also changes when another one of them is moved. */
export function foundEntry(stats: BigIntStats): FoundEntry {
  const isDirectory = stats.isDirectory()
  const ctimeNs = isDirectory || stats.nlink === 1n ? stats.ctimeNs.toString() : null
  return { isDirectory, inode: stats.ino.toString(), mtimeNs: stats.mtimeNs.toString(), ctimeNs }
}

function isStill(stats: BigIntStats, found: FoundEntry): boolean {
  return (
    stats.isDirectory() === found.isDirectory &&
    isUnwritten(stats, found) &&
    (found.ctimeNs === null || stats.ctimeNs.toString() === found.ctimeNs)
  )
}

/** A second name changes the change time of a file, and nothing else of it. */
function isUnwritten(stats: BigIntStats, found: FoundEntry): boolean {
  return stats.ino.toString() === found.inode && hasTime(stats, found)
}

function hasTime(stats: BigIntStats, found: FoundEntry): boolean {
  return stats.mtimeNs.toString() === found.mtimeNs
}

function lstatOrNull(path: string | Buffer): BigIntStats | null {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
}

function changedMeanwhile(bytes: ByteString): WorkspaceError {
  const path = pathText(bytes)
  return new WorkspaceError(
    'CONFLICT',
    `${JSON.stringify(path)} was changed by somebody else while it was being replaced. Nothing was changed; load again.`,
    { details: { path } },
  )
}

function tookThePlace(found: readonly ByteString[]): WorkspaceError {
  const paths = found.map(pathText)
  const [path = ''] = paths
  const others = paths.length === 1 ? '' : `, and ${paths.length - 1} more like it,`
  return new WorkspaceError(
    'CONFLICT',
    `${JSON.stringify(path)}${others} was put by somebody else in the place of what has to come back there. Nothing of either is lost. Move it away, then load again.`,
    { details: { paths } },
  )
}
