import { WorkspaceError } from '../errors.ts'
import { childPath, type ByteString } from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'
import { isHalfMoved, isParkedOne, lstatOrNull } from './found-entry.ts'
import { mergeEntry } from './move-entry.ts'
import { pathText } from './path-text.ts'
import { renameEntry } from './rename-entry.ts'
import { setDirectoryFields, setFields } from './set-fields.ts'
import type { TimeSlice } from './time-slice.ts'
import type { EntryUpdate, UpdateJournal } from './update-journal.ts'
import { visitDirectories, type Place } from './visit-update.ts'
import { knowOurs, withdraw, type Ours } from './withdraw-entry.ts'

/**
 * Takes back what `applyUpdate` has done of a journal, or what is left of that. There is no way forward from here. Only what
 * the update has brought is taken away: what somebody else has put in its place, or into it, or written into it, stays.
 *
 * @returns the paths of what stays where nothing was before, so that everything is taken back nevertheless
 * @throws `CONFLICT` when such a thing is in the place of what was there; everything else is taken back then, and
 * the rest by another call when that is gone
 */
export async function undoUpdate(
  work: string,
  target: string,
  journal: UpdateJournal,
  slice: TimeSlice,
): Promise<ByteString[]> {
  const ours = knowOurs(work, journal)
  const left: ByteString[] = []
  const inTheWay: ByteString[] = []
  await visitDirectories(work, target, journal, slice, () => undefined, {
    enter(place, update) {
      for (const fields of update.fields) setFields(place.directory, fields, fields.before)
      for (const entry of update.entries.toReversed()) {
        const foreign = moveBack(place, entry, ours)
        const blocks = entry.goes !== null
        for (const path of foreign) (blocks ? inTheWay : left).push([...update.path, path].join('/'))
      }
    },
    leave: (place, update) => setDirectoryFields(place.directory, update.before),
  })
  if (inTheWay.length > 0) throw tookThePlace(inTheWay)
  return left
}

/** What a rename says that would have to replace a full directory, or a directory by a file, or the reverse. */
const OTHER_IN_PLACE = new Set(['ENOTEMPTY', 'EEXIST', 'EISDIR', 'ENOTDIR'])

/** @returns what somebody else has put there, as paths in the directory */
function moveBack({ directory, fresh, parked }: Place, entry: EntryUpdate, ours: Ours): ByteString[] {
  const { name, number, goes, comes, came } = entry
  const path = childPath(directory, name)
  const parkedPlace = { directory: parked, name: String(number) }
  const old = childPath(parked, parkedPlace.name)
  const parkedEntry = goes === null ? null : lstatOrNull(old)
  if (goes !== null && parkedEntry === null) return []
  const found = lstatOrNull(path)
  if (goes !== null && parkedEntry !== null) {
    if (isHalfMoved(found, goes, parkedEntry)) {
      mergeEntry(parkedPlace, { directory, name })
      return []
    }
    if (found === null || isParkedOne(found, goes, parkedEntry)) return putBack(old, path, name)
  }
  if (found === null) return []
  const hasCome = comes && (came !== undefined || lstatOrNull(childPath(fresh, String(number))) === null)
  if (!hasCome) return goes === null ? [] : [name]
  // In one step, so that nobody ever finds nothing there.
  if (found.isDirectory() === parkedEntry?.isDirectory())
    return ours.isOurs(found, came) ? putBack(old, path, name) : [name]
  const foreign = withdraw({ directory, name }, found, { directory: fresh, name: String(number) }, ours, came)
  return foreign.length > 0 || goes === null ? foreign : putBack(old, path, name)
}

function putBack(old: string | Buffer, path: string | Buffer, name: ByteString): ByteString[] {
  try {
    renameEntry(old, path)
    return []
  } catch (error) {
    if (OTHER_IN_PLACE.has(errnoOf(error) ?? '')) return [name]
    throw error
  }
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
