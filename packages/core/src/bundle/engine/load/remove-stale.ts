import { fstatSync } from 'node:fs'
import {
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { isClosedOver, lstatOrNull, surveyBelow, type CompareState, type FileCount } from './compare-state.ts'
import { joinPath } from '../known/known-tree.ts'
import { fieldsOf, foundEntry, type DirectoryPlan } from './load-plan.ts'
import { isReadable } from './unreadable.ts'

/** A directory that is there, and the changes to it. */
export interface StaleParent {
  readonly there: DirectoryPlan
  readonly names: readonly ByteString[]
  readonly open: DirectoryHandle
  readonly path: ByteString
}

/** Has something removed, as far as nothing in it has to stay. */
export async function removeStale(state: CompareState, outer: StaleParent, name: ByteString): Promise<void> {
  const { plan, tally, left, slice, opened } = state.context
  const stats = lstatOrNull(outer.open, name)
  if (stats === null) return
  const path = joinPath(outer.path, name)
  const isUnread = opened.closedMode(outer.path) !== null || !isReadable(outer.open, name, stats)
  const reason = left.reasonFor(path, stats) ?? (isUnread ? 'unreadable' : null)
  if (reason !== null) {
    left.add(path, reason, false)
    return
  }
  const remove = (gone: FileCount, found = stats): void => {
    tally.deleted.files += gone.files
    tally.deleted.bytes += gone.bytes
    outer.there.entries.push({ name, number: plan.nextNumber(), goes: foundEntry(found), comes: false })
  }
  if (!stats.isDirectory()) {
    remove({ files: 1, bytes: Number(stats.size) })
    return
  }
  const open = opened.open(outer.open, path)
  if (open === null) {
    left.add(path, 'unreadable', false)
    return
  }
  try {
    if (isClosedOver(state.context, open, path)) {
      left.add(path, 'unreadable', false)
      return
    }
    const inside = { files: 0, bytes: 0 }
    if ((await surveyBelow(state.context, open, path, inside)) === null) {
      // Opening it up has changed its mode, and so its change time.
      remove(inside, fstatSync(open.fd, { bigint: true }))
      return
    }
    const names = [...outer.names, name]
    const now = fstatSync(open.fd, { bigint: true })
    const below = { there: plan.open(names, fieldsOf(now), now.ino), names, open, path }
    for (const entry of listDirectory(open)) {
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      await removeStale(state, below, entry.name)
    }
  } finally {
    closeDirectory(open)
  }
}
