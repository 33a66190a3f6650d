import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { compareKeys, type ObjectInfo } from '@ws/core'
import { errnoOf } from './file-error.ts'
import { decodeName, folderToNames, isLegalKey, keyToNames } from './key-path.ts'
import { readInfoAt } from './object-file.ts'
import { checkFolders } from './store-folders.ts'

/** After reading the information of this many files without a pause, other work gets its turn. */
const FILES_PER_TURN = 64

interface Entry {
  /** The whole key of an object; for a folder, what all keys in it start with. */
  readonly key: string
  readonly names: readonly string[]
  readonly isFolder: boolean
}

interface Selection {
  readonly prefix: string
  readonly startAfter: string
  readonly signal: AbortSignal | undefined
}

/**
 * Walks the tree in the order of the keys' bytes. Of each folder on the way down to the current object, the names are
 * in memory; folders that hold nothing of the selection are not opened.
 */
export async function* listObjects(root: string, selection: Selection): AsyncGenerator<ObjectInfo> {
  const folder = selection.prefix.slice(0, selection.prefix.lastIndexOf('/') + 1)
  const names = folderToNames(folder)
  if (checkFolders(root, names, false) === null) return
  const stack = [(await readEntries(root, names, folder, selection)).values()]
  let files = 0
  for (let current = stack.at(-1); current !== undefined; current = stack.at(-1)) {
    selection.signal?.throwIfAborted()
    const { value: entry, done } = current.next()
    if (done) {
      stack.pop()
    } else if (entry.isFolder) {
      stack.push((await readEntries(root, entry.names, entry.key, selection)).values())
    } else {
      files += 1
      if (files % FILES_PER_TURN === 0) await yieldToEventLoop()
      const info = readInfoAt(entry.key, join(root, ...entry.names))
      if (info !== null) yield info
    }
  }
}

async function readEntries(
  root: string,
  names: readonly string[],
  keyStart: string,
  selection: Selection,
): Promise<Entry[]> {
  const entries: Entry[] = []
  await collectEntries(root, names, keyStart, selection, entries)
  return entries.sort((left, right) => compareKeys(left.key, right.key))
}

async function collectEntries(
  root: string,
  names: readonly string[],
  keyStart: string,
  selection: Selection,
  entries: Entry[],
): Promise<void> {
  for (const found of await readFolder(join(root, ...names))) {
    const decoded = decodeName(found.name)
    if (decoded === null) continue
    const path = [...names, found.name]
    if (decoded.kind === 'object') {
      const key = keyStart + decoded.text
      const isSelected = key.startsWith(selection.prefix) && compareKeys(key, selection.startAfter) > 0
      if (found.isFile() && isSelected && isCanonical(key, path))
        entries.push({ key, names: path, isFolder: false })
    } else if (found.isDirectory()) {
      const key = keyStart + decoded.text + (decoded.kind === 'folder' ? '/' : '')
      if (!mayHold(key, selection)) continue
      // Keys of a cut segment mix with their neighbours', so they belong to this folder's order.
      if (decoded.kind === 'continuation') await collectEntries(root, path, key, selection, entries)
      else entries.push({ key, names: path, isFolder: true })
    }
  }
}

/** Whether a key that starts with `start` can be in the selection. */
function mayHold(start: string, { prefix, startAfter }: Selection): boolean {
  if (!start.startsWith(prefix) && !prefix.startsWith(start)) return false
  return startAfter.startsWith(start) || compareKeys(start, startAfter) > 0
}

/** A name that this store would not have chosen for the key is a stranger's: `get` would not find it there. */
function isCanonical(key: string, names: readonly string[]): boolean {
  return isLegalKey(key) && keyToNames(key).join('/') === names.join('/')
}

async function readFolder(
  path: string,
): Promise<{ readonly name: string; isFile(): boolean; isDirectory(): boolean }[]> {
  try {
    return await readdir(path, { withFileTypes: true })
  } catch (error) {
    // Removed, or replaced by something that is not a folder, since its parent was read.
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return []
    throw error
  }
}
