import { fchmodSync, fstatSync } from 'node:fs'
import { createDirectoryCursor, type DirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import {
  openRealRoot,
  openRoot,
  closeDirectory,
  toByteString,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { isAbsence, isDenied } from '../../../filesystem/filesystem-error.ts'
import { openedMode, openUp, type OpenedUp } from '../../../filesystem/open-accessible.ts'
import { nameOf, parentOf } from '../known/known-tree.ts'
import type { DirectoryPlan } from './load-plan.ts'

/** Directories that are closed to their own owner, and that a load has opened up to look into them. */
export interface OpenedDirectories {
  /** `null` for a directory that is closed and not this user's to open. */
  open(parent: DirectoryHandle, path: ByteString): DirectoryHandle | null
  /** The mode that a directory had before it was opened up; `null` for one that was open. */
  closedMode(path: ByteString): number | null
  /** What the directory has once the load is done is for the plan to say. */
  plan(path: ByteString, plan: DirectoryPlan): void
  /** Closes them again, as far as nobody has given them another mode. @param isDone whether the plan was carried out */
  putBack(isDone: boolean): void
}

interface OpenedDirectory {
  readonly mode: number
  readonly inode: bigint
  plan: DirectoryPlan | null
}

/** @param target real path of what is loaded into, which is opened up at once when it is there */
export function createOpenedDirectories(target: string): OpenedDirectories {
  const opened = new Map<ByteString, OpenedDirectory>()
  const note = (path: ByteString, { handle, closedMode }: OpenedUp): void => {
    if (closedMode === null) return
    opened.set(path, { mode: closedMode, inode: fstatSync(handle.fd, { bigint: true }).ino, plan: null })
  }
  openTarget(target, note)
  return {
    open(parent, path) {
      try {
        const found = openUp(parent, nameOf(path))
        note(path, found)
        return found.handle
      } catch (error) {
        if (isDenied(error)) return null
        throw error
      }
    },
    closedMode: (path) => opened.get(path)?.mode ?? null,
    plan(path, plan) {
      const directory = opened.get(path)
      if (directory !== undefined) directory.plan = plan
    },
    putBack(isDone) {
      if (opened.size > 0) closeAll(target, opened, isDone)
      opened.clear()
    },
  }
}

/** A target that stays closed is for whoever needs it to report. */
function openTarget(target: string, note: (path: ByteString, opened: OpenedUp) => void): void {
  let parent: DirectoryHandle
  const path = toByteString(target)
  try {
    parent = openRoot(parentOf(path) || '/')
  } catch (error) {
    if (isAbsence(error) || isDenied(error)) return
    throw error
  }
  try {
    const found = openUp(parent, nameOf(path))
    try {
      note('', found)
    } finally {
      closeDirectory(found.handle)
    }
  } catch (error) {
    if (!isAbsence(error) && !isDenied(error)) throw error
  } finally {
    closeDirectory(parent)
  }
}

/** Deepest first: a directory that is closed hides what is in it. */
function closeAll(target: string, opened: ReadonlyMap<ByteString, OpenedDirectory>, isDone: boolean): void {
  const deepestFirst = [...opened].sort(([left], [right]) => (left < right ? 1 : -1))
  let cursor: DirectoryCursor
  try {
    cursor = createDirectoryCursor(toByteString(target), openRealRoot)
  } catch {
    // Somebody has put something else in its place: that was not opened, and the error of the load is the one to report.
    return
  }
  try {
    for (const [path, { mode, inode, plan }] of deepestFirst) {
      const wanted = isDone ? (plan?.after.mode ?? mode) : mode
      try {
        const { fd } = cursor.open(path)
        const stats = fstatSync(fd, { bigint: true })
        // The system may have taken a set-group bit away on the way.
        const isOpened = (Number(stats.mode) & 0o777) === (openedMode(mode) & 0o777)
        if (isOpened && stats.ino === inode) fchmodSync(fd, wanted)
      } catch (error) {
        if (!isAbsence(error) && !isDenied(error)) throw error
      }
    }
  } finally {
    cursor.close()
  }
}
