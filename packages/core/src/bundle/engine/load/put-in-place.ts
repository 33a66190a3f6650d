import { chownSync, lstatSync, mkdirSync, type BigIntStats } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { applyUpdate } from '../../../filesystem/apply-update.ts'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import { fillDirectory, isMovingIn, type RootFields } from '../../../filesystem/swap-directory.ts'
import { timeSlice } from '../../../filesystem/time-slice.ts'
import { undoUpdate } from '../../../filesystem/undo-update.ts'
import {
  beginUndo,
  closeJournal,
  writeJournal,
  type UpdateJournal,
} from '../../../filesystem/update-journal.ts'
import type { WorkDirectory } from '../../../filesystem/work-directory.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { KEPT_MODE_BITS } from './stage-state.ts'

/** Not even the way back worked; the next load of the directory tries again. */
export class HalfDone extends WorkspaceError {}

/** Changes a full directory, or leaves it as it was. */
export async function updateInPlace(
  work: WorkDirectory,
  target: string,
  journal: UpdateJournal,
): Promise<void> {
  mkdirSync(join(work.path, 'old'), { mode: 0o700 })
  writeJournal(work.path, journal)
  // From here on an abort comes too late: the renames take less time than taking them back.
  try {
    await applyUpdate(work.path, target, journal, 'refuse', timeSlice())
  } catch (error) {
    let left: ByteString[]
    try {
      beginUndo(work.path)
      left = await undoUpdate(work.path, target, journal, timeSlice())
    } catch (second) {
      throw halfDone(target, new AggregateError([error, second]), second)
    }
    throw left.length > 0 ? leftThere(target, left, error) : error
  }
  closeJournal(work.path)
}

/** Gives an absent or empty directory its content in one step. */
export function putInPlace(
  work: WorkDirectory,
  target: string,
  isPresent: boolean,
  fields: VersionRecord['root'] | null,
): void {
  const fresh = join(work.path, 'new')
  const old = isPresent ? lstatSync(target, { bigint: true }) : null
  if (
    old !== null &&
    (old.uid !== BigInt(process.geteuid?.() ?? 0) || old.gid !== BigInt(process.getegid?.() ?? 0))
  ) {
    chownSync(fresh, Number(old.uid), Number(old.gid))
  }
  try {
    fillDirectory(work.path, target, work.isInside, rootFields(old, fields))
  } catch (error) {
    if (isMovingIn(work.path)) throw halfDone(target, error)
    throw error
  }
}

function rootFields(old: BigIntStats | null, fields: VersionRecord['root'] | null): RootFields {
  if (fields === null) {
    return { mode: old === null ? 0o777 & ~process.umask() : Number(old.mode & 0o7777n), mtime: null }
  }
  const { mode, mtimeSeconds: seconds, mtimeNanoseconds: nanoseconds } = fields
  return { mode: mode & KEPT_MODE_BITS, mtime: { seconds, nanoseconds } }
}

/** @param undoing what the way back met with */
function halfDone(target: string, cause: unknown, undoing?: unknown): HalfDone {
  if (WorkspaceError.is(undoing, 'CONFLICT'))
    return new HalfDone('CONFLICT', undoing.message, { cause, details: undoing.details })
  return new HalfDone(
    'UNAVAILABLE',
    `${JSON.stringify(target)} is between two states: putting files in place failed, and so did taking them back. Load again to end it.`,
    { cause, details: { path: target } },
  )
}

function leftThere(target: string, left: readonly ByteString[], cause: unknown): WorkspaceError {
  const paths = left.map(pathText)
  const [path = ''] = paths
  const others = paths.length === 1 ? '' : `, and ${paths.length - 1} more like it`
  return new WorkspaceError(
    'CONFLICT',
    `The load into ${JSON.stringify(target)} failed and was taken back, but for ${JSON.stringify(path)}${others}: somebody else put it there meanwhile, and it stays. Move it away if it matters, then load again.`,
    { cause, details: { path: target, paths } },
  )
}
