import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { compareKeys, isObjectKey, type ObjectInfo } from '@ws/core'
import { errnoOf } from './file-error.ts'
import { decodeName, folderToNames, keyToNames } from './key-path.ts'
import { readInfoAt } from './object-file.ts'
import { checkFolders } from './store-folders.ts'

/** After reading the information of this many files without a pause, other work gets its turn. */
const FILES_PER_TURN = 64

interface Entry {
  /** What follows the folder's own key: all of an object's key, or for a folder what all keys in it go on with. */
  readonly text: string
  /** Of the folder that it was found in. */
  readonly parents: readonly string[]
  readonly name: string
  readonly isFolder: boolean
}

/** The entries of one folder of keys, in order. */
interface Folder {
  readonly keyStart: string
  readonly entries: Iterator<Entry>
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
  const stack = [await readEntries(root, names, folder, selection)]
  let files = 0
  for (let current = stack.at(-1); current !== undefined; current = stack.at(-1)) {
    selection.signal?.throwIfAborted()
    const { value: entry, done } = current.entries.next()
    if (done === true) {
      stack.pop()
      continue
    }
    const key = current.keyStart + entry.text
    const path = [...entry.parents, entry.name]
    if (entry.isFolder) {
      stack.push(await readEntries(root, path, key, selection))
    } else if (isCanonical(key, path)) {
      files += 1
      if (files % FILES_PER_TURN === 0) await yieldToEventLoop()
      const info = readInfoAt(key, join(root, ...path))
      if (info !== null) yield info
    }
  }
}

async function readEntries(
  root: string,
  names: readonly string[],
  keyStart: string,
  selection: Selection,
): Promise<Folder> {
  const entries: Entry[] = []
  await collectEntries(root, names, keyStart, '', selection, entries)
  return { keyStart, entries: inOrder(entries) }
}

/** Who wants the first one only, such as the newest version of thousands, does not wait until all are sorted. */
function* inOrder(entries: Entry[]): Generator<Entry, void, void> {
  let [first] = entries
  if (first === undefined) return
  for (const entry of entries) if (compareKeys(entry.text, first.text) < 0) first = entry
  yield first
  entries.sort((left, right) => compareKeys(left.text, right.text))
  for (const entry of entries) if (entry !== first) yield entry
}

/** @param textStart what the texts begin with: not empty within the folders of a segment that was cut */
async function collectEntries(
  root: string,
  names: readonly string[],
  keyStart: string,
  textStart: string,
  selection: Selection,
  entries: Entry[],
): Promise<void> {
  const { prefix, startAfter } = selection
  for (const found of await readFolder(join(root, ...names))) {
    const decoded = decodeName(found.name)
    if (decoded === null) continue
    const text = textStart + decoded.text
    const { name } = found
    if (decoded.kind === 'object') {
      const key = keyStart + text
      const isSelected = key.startsWith(prefix) && (startAfter === '' || compareKeys(key, startAfter) > 0)
      if (isSelected && found.isFile()) entries.push({ text, parents: names, name, isFolder: false })
    } else if (found.isDirectory()) {
      const inner = text + (decoded.kind === 'folder' ? '/' : '')
      if (!mayHold(keyStart + inner, selection)) continue
      // Keys of a cut segment mix with their neighbours', so they belong to this folder's order.
      if (decoded.kind === 'continuation')
        await collectEntries(root, [...names, name], keyStart, inner, selection, entries)
      else entries.push({ text: inner, parents: names, name, isFolder: true })
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
  return isObjectKey(key) && keyToNames(key).join('/') === names.join('/')
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
