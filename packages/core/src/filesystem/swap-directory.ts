import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { childPath, closeDirectory, listDirectory, openRoot, toByteString } from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'
import { renameEntry } from './rename-entry.ts'

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
  renameEntry(target, parked)
  try {
    renameEntry(fresh, target)
  } catch (error) {
    renameEntry(parked, target)
    throw error
  }
}

function swapEntries(work: string, target: string): void {
  mkdirSync(join(work, 'old'), { mode: 0o700 })
  mark(work, 'moving-out')
  try {
    moveEntries(target, join(work, 'old'))
    mark(work, 'moving-in')
    moveEntries(join(work, 'new'), target)
  } catch (error) {
    try {
      if (existsSync(join(work, 'moving-in'))) moveEntries(target, join(work, 'new'))
    } catch {
      // The old entries go back in any case; the first error is the one to report.
    }
    moveEntries(join(work, 'old'), target)
    throw error
  }
}

/** Ends a swap of entries that was cut short: forward once the new entries had begun to go in, else back. */
export function finishEntrySwap(work: string, target: string): void {
  if (existsSync(join(work, 'moving-in'))) moveEntries(join(work, 'new'), target)
  else if (existsSync(join(work, 'moving-out'))) moveEntries(join(work, 'old'), target)
}

function mark(work: string, name: string): void {
  closeSync(openSync(join(work, name), 'wx', 0o600))
}

/** Work directories stay where they are: one of them is the place that entries are moved from or to. */
function moveEntries(from: string, to: string): void {
  const source = openRoot(toByteString(from))
  try {
    const destination = openRoot(toByteString(to))
    try {
      for (const entry of listDirectory(source)) {
        if (entry.name.startsWith('.ws-work-')) continue
        renameEntry(childPath(source, entry.name), childPath(destination, entry.name))
      }
    } finally {
      closeDirectory(destination)
    }
  } finally {
    closeDirectory(source)
  }
}
