import { linkSync, lstatSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError, conditionFailed, type ObjectBody, type ObjectInfo, type PutOptions } from '@ws/core'
import { errnoOf } from './file-error.ts'
import { withKeyLock } from './key-lock.ts'
import { keyToNames } from './key-path.ts'
import { readInfoAt } from './object-file.ts'
import { checkFolders, removeEmptyFolders, removeFile, type StoreFolders } from './store-folders.ts'
import { syncFolder } from './sync-folder.ts'
import { writeObjectFile, type WrittenObject } from './write-object-file.ts'

/** How often a delete may remove the folder that a put has just made, before the put gives up. */
const FOLDER_ATTEMPTS = 1_000

/** Writes aside, then puts in place with one `link` or `rename`: see `ObjectStore.put`. */
export async function putObject(
  folders: StoreFolders,
  key: string,
  body: ObjectBody,
  options: PutOptions,
  sync: boolean,
): Promise<ObjectInfo> {
  const names = keyToNames(key)
  const path = join(folders.root, ...names)
  const parents = names.slice(0, -1)
  checkFolders(folders.root, parents, false)
  assertCondition(key, path, options)
  const written = await writeObjectFile(folders, key, body, options, sync)
  let changed: readonly string[]
  try {
    changed = await place(folders, key, parents, path, written, options)
  } catch (error) {
    removeFile(written.path)
    removeEmptyFolders(folders.root, parents)
    throw error
  }
  // At once: the file system writes its journal for all of them together.
  if (sync) await Promise.all(changed.map(syncFolder))
  return written.info
}

/** Removes the object's file and the folders that this empties: see `ObjectStore.delete`. */
export async function deleteObject(
  folders: StoreFolders,
  key: string,
  signal: AbortSignal | undefined,
  sync: boolean,
): Promise<void> {
  const names = keyToNames(key)
  const path = join(folders.root, ...names)
  const parents = names.slice(0, -1)
  if (checkFolders(folders.root, parents, false) === null) return
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return
  await withKeyLock(folders, key, signal, () => removeFile(path))
  if (sync) await syncFolder(join(folders.root, ...parents))
  removeEmptyFolders(folders.root, parents)
}

/** @returns the folders in which names changed */
async function place(
  folders: StoreFolders,
  key: string,
  parents: readonly string[],
  path: string,
  written: WrittenObject,
  options: PutOptions,
): Promise<readonly string[]> {
  const changed = new Set<string>()
  for (let attempt = 1; ; attempt += 1) {
    for (const folder of checkFolders(folders.root, parents, true) ?? []) changed.add(folder)
    try {
      if (options.ifAbsent === true) {
        linkIfAbsent(key, written.path, path)
        removeFile(written.path)
      } else {
        await withKeyLock(folders, key, options.signal, () => {
          options.signal?.throwIfAborted()
          assertCondition(key, path, options)
          renameSync(written.path, path)
        })
      }
      return [...changed, join(folders.root, ...parents)]
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || WorkspaceError.is(error)) throw error
      if (attempt >= FOLDER_ATTEMPTS) throw error
      assertStillWritten(key, written)
    }
  }
}

function linkIfAbsent(key: string, from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw conditionFailed(key, 'ifAbsent')
    throw error
  }
}

function assertCondition(key: string, path: string, options: PutOptions): void {
  if (options.ifAbsent === true && lstatSync(path, { throwIfNoEntry: false }) !== undefined)
    throw conditionFailed(key, 'ifAbsent')
  if (options.ifMatch !== undefined && readInfoAt(key, path)?.etag !== options.ifMatch)
    throw conditionFailed(key, 'ifMatch')
}

function assertStillWritten(key: string, written: WrittenObject): void {
  if (lstatSync(written.path, { throwIfNoEntry: false }) !== undefined) return
  const message = `Cannot put ${JSON.stringify(key)}: its temporary file was removed. Try again.`
  throw new WorkspaceError('UNAVAILABLE', message, { details: { key } })
}
