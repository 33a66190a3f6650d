import { fstatSync } from 'node:fs'
import { join } from 'node:path'
import {
  closeDirectory,
  openRealRoot,
  openRoot,
  toByteString,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { isAbsence } from './filesystem-error.ts'
import { makeAccessible, openAccessible } from './open-accessible.ts'
import type { TimeSlice } from './time-slice.ts'
import type { DirectoryUpdate, UpdateJournal } from './update-journal.ts'

/** One directory of an update, and where what comes in and goes out lies. */
export interface Place {
  readonly directory: DirectoryHandle
  readonly fresh: DirectoryHandle
  readonly parked: DirectoryHandle
}

export interface Visitor {
  enter(place: Place, update: DirectoryUpdate): void
  /** Called when everything below is done. */
  leave(place: Place, update: DirectoryUpdate): void
}

/** Goes through the directories of a journal by open ones. No link is followed, and another directory of a name is left out. */
export async function visitDirectories(
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
