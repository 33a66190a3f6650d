import {
  chownSync,
  closeSync,
  fchmodSync,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { applyUpdate, undoUpdate } from '../../filesystem/apply-update.ts'
import { closeDirectory, openRoot, toByteString } from '../../filesystem/directory-handle.ts'
import { fileTime } from '../../filesystem/file-time.ts'
import { swapDirectory } from '../../filesystem/swap-directory.ts'
import { timeSlice } from '../../filesystem/time-slice.ts'
import {
  closeJournal,
  SWAP_BEGUN,
  writeJournal,
  type UpdateJournal,
} from '../../filesystem/update-journal.ts'
import type { WorkDirectory } from '../../filesystem/work-directory.ts'
import type { VersionRecord } from '../format/version-record.ts'
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
    try {
      await undoUpdate(work.path, target, journal, timeSlice())
    } catch (second) {
      throw new HalfDone(
        'UNAVAILABLE',
        `${JSON.stringify(target)} is between two states: putting files in place failed, and so did taking them back. Load again to end it.`,
        { cause: new AggregateError([error, second]), details: { path: target } },
      )
    }
    throw error
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
  const mark = join(work.path, SWAP_BEGUN)
  closeSync(openSync(mark, 'wx', 0o600))
  try {
    swapDirectory(work.path, target, work.isInside)
  } catch (error) {
    unlinkSync(mark)
    throw error
  }
  const handle = openRoot(toByteString(target))
  try {
    if (fields === null) {
      if (old === null) fchmodSync(handle.fd, 0o777 & ~process.umask())
      else fchmodSync(handle.fd, Number(old.mode & 0o7777n))
      return
    }
    const time = fileTime(fields.mtimeSeconds, fields.mtimeNanoseconds)
    if ((fstatSync(handle.fd).mode & 0o7777) !== (fields.mode & KEPT_MODE_BITS))
      fchmodSync(handle.fd, fields.mode & KEPT_MODE_BITS)
    futimesSync(handle.fd, time, time)
  } finally {
    closeDirectory(handle)
  }
}
