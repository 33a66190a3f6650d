import { linkSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { childPath, type ByteString } from './directory-handle.ts'
import { isDenied, toWorkspaceError } from './filesystem-error.ts'
import { isHalfMoved, isParkedOne, isStill, lstatOrNull } from './found-entry.ts'
import { moveEntry } from './move-entry.ts'
import { pathText } from './path-text.ts'
import { renameEntry } from './rename-entry.ts'
import { setDirectoryFields, setFields } from './set-fields.ts'
import type { TimeSlice } from './time-slice.ts'
import type { EntryUpdate, UpdateJournal } from './update-journal.ts'
import { visitDirectories, type Place } from './visit-update.ts'

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
 * @throws `CONFLICT` with `onForeignChange: 'refuse'`; some changes are made then, `undoUpdate` takes them back.
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
        const path = join(...update.path, entry.name)
        if (!namingDenied(path, () => makeMove(place, entry))) foreign(path)
      }
      for (const fields of update.fields) {
        const path = join(...update.path, fields.name)
        if (!namingDenied(path, () => setFields(place.directory, fields, fields.after))) foreign(path)
      }
    },
    leave: (place, update) => setDirectoryFields(place.directory, update.after),
  })
  return kept
}

/** Names what permissions keep from being changed, where all that the caller knows is the directory as a whole. */
function namingDenied<T>(path: ByteString, change: () => T): T {
  try {
    return change()
  } catch (error) {
    throw isDenied(error) ? toWorkspaceError(error, 'change', pathText(path)) : error
  }
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

/** A second name keeps the old file while the new one takes its place in one step: nobody ever finds nothing there. */
function linkOrRename(path: string | Buffer, to: string | Buffer): void {
  try {
    linkSync(path, to)
  } catch {
    renameSync(path, to)
  }
}

function changedMeanwhile(bytes: ByteString): WorkspaceError {
  const path = pathText(bytes)
  return new WorkspaceError(
    'CONFLICT',
    `${JSON.stringify(path)} was changed by somebody else while it was being replaced. Nothing was changed; load again.`,
    { details: { path } },
  )
}
