import { fstatSync } from 'node:fs'
import {
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { openAccessible } from '../../../filesystem/open-accessible.ts'
import { lstatOrNull, surveyBelow, type CompareState, type FileCount } from './compare-state.ts'
import { joinPath } from '../known/known-tree.ts'
import { foundEntry, type DirectoryPlan } from './load-plan.ts'

/** A directory that is there, and the changes to it. */
export interface StaleParent {
  readonly there: DirectoryPlan
  readonly names: readonly ByteString[]
  readonly open: DirectoryHandle
  readonly path: ByteString
}

/** Has something removed, as far as nothing in it has to stay. */
export async function removeStale(state: CompareState, outer: StaleParent, name: ByteString): Promise<void> {
  const { plan, tally, left, slice } = state.context
  const stats = lstatOrNull(outer.open, name)
  if (stats === null) return
  const path = joinPath(outer.path, name)
  const reason = left.reasonFor(path, stats)
  if (reason !== null) {
    left.add(path, reason, false)
    return
  }
  const remove = (gone: FileCount): void => {
    tally.deleted.files += gone.files
    tally.deleted.bytes += gone.bytes
    outer.there.entries.push({ name, number: plan.nextNumber(), goes: foundEntry(stats), comes: false })
  }
  if (!stats.isDirectory()) {
    remove({ files: 1, bytes: Number(stats.size) })
    return
  }
  const open = openAccessible(outer.open, name)
  try {
    const inside = { files: 0, bytes: 0 }
    if ((await surveyBelow(state.context, open, path, inside)) === null) {
      remove(inside)
      return
    }
    const names = [...outer.names, name]
    const below = { there: plan.open(names, fstatSync(open.fd, { bigint: true })), names, open, path }
    for (const entry of listDirectory(open)) {
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      await removeStale(state, below, entry.name)
    }
  } finally {
    closeDirectory(open)
  }
}
