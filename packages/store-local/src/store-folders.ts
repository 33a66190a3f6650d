import { randomBytes } from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import {
  WorkspaceError,
  currentProcessIdentity,
  parseProcessIdentity,
  processState,
  type ProcessIdentity,
} from '@ws/core'
import { errnoOf, unsafePath } from './file-error.ts'
import { PRIVATE_FOLDER } from './key-path.ts'

/** How long what an owner left that cannot be looked at (in another container) stays untouched before it counts as dead. */
const UNKNOWN_OWNER_LIMIT_MS = 24 * 60 * 60 * 1_000

/** This process as a user of one root: its id is in the names of its temporary files and in its locks. */
export interface StoreFolders {
  readonly root: string
  readonly temporary: string
  readonly locks: string
  readonly ownerId: string
  readonly ownerFile: string
}

export interface Owner {
  readonly id: string
  readonly identity: ProcessIdentity
}

/** The root's real path. @throws `INVALID_INPUT`, `NOT_FOUND` */
export function openRoot(root: string, create: boolean): string {
  const path = resolve(root)
  try {
    if (create) mkdirSync(path, { recursive: true })
    const real = realpathSync(path)
    if (!statSync(real).isDirectory()) throw rootIsNoDirectory(path)
    return real
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST' || errno === 'ENOTDIR') throw rootIsNoDirectory(path, error)
    if (errno === 'ENOENT')
      throw new WorkspaceError(
        'NOT_FOUND',
        `The store's root ${JSON.stringify(path)} does not exist. Create or mount it.`,
        { cause: error, details: { path } },
      )
    throw error
  }
}

/** Tells "no such object" from "the disk is gone". @throws `UNAVAILABLE` */
export function assertRootExists(root: string): void {
  if (lstatSync(root, { throwIfNoEntry: false })?.isDirectory() === true) return
  const message = `The store's root ${JSON.stringify(root)} has vanished. Mount it again, or make a new store.`
  throw new WorkspaceError('UNAVAILABLE', message, { details: { path: root } })
}

/** Makes the private folders and announces this process, then removes what dead processes left behind. */
export function openFolders(root: string): StoreFolders {
  const home = join(root, PRIVATE_FOLDER)
  const owners = join(home, 'owners')
  const ownerId = randomBytes(12).toString('hex')
  const folders: StoreFolders = {
    root,
    temporary: join(home, 'temporary'),
    locks: join(home, 'locks'),
    ownerId,
    ownerFile: join(owners, ownerId),
  }
  for (const folder of [home, owners, folders.temporary, folders.locks]) makeFolder(folder, 0o700)
  const owner: Owner = { id: ownerId, identity: currentProcessIdentity() }
  try {
    writeFileSync(folders.ownerFile, JSON.stringify(owner), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    removeFile(folders.ownerFile)
    throw error
  }
  sweep(folders, owners)
  return folders
}

/** Whether the private folders are still the store's own: neither removed nor replaced by links. @throws `UNSAFE_PATH` */
export function hasFolders(folders: StoreFolders): boolean {
  const all = [dirname(folders.temporary), folders.temporary, folders.locks, dirname(folders.ownerFile)]
  return all.every(isFolder) && lstatSync(folders.ownerFile, { throwIfNoEntry: false }) !== undefined
}

export function readOwner(path: string): Owner | null {
  try {
    const { id, identity } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    const parsed = parseProcessIdentity(identity)
    return typeof id === 'string' && parsed !== null ? { id, identity: parsed } : null
  } catch {
    return null
  }
}

/**
 * Checks every folder from the root down to where an object belongs, and makes what is missing when told to.
 * Node has no `openat`, so a process that swaps a folder for a link between this check and the use that follows could
 * still redirect that one call; a link that is there beforehand cannot.
 * @returns the parents of the folders that were made, or `null` when one is missing and was not to be made
 * @throws `UNSAFE_PATH` when a link or a file is in the place of a folder
 */
export function checkFolders(root: string, names: readonly string[], make: boolean): string[] | null {
  const changed: string[] = []
  let path = root
  for (const name of names) {
    const parent = path
    path = join(path, name)
    if (isFolder(path)) continue
    if (!make) return null
    if (makeFolder(path, 0o777)) changed.push(parent)
  }
  return changed
}

/** Removes the folders that have become empty, from the innermost outwards. */
export function removeEmptyFolders(root: string, names: readonly string[]): void {
  for (let depth = names.length; depth > 0; depth -= 1) {
    try {
      rmdirSync(join(root, ...names.slice(0, depth)))
    } catch {
      return
    }
  }
}

export function removeFile(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

/** Removes only what no living process needs, so any number of processes may sweep at once. */
function sweep(folders: StoreFolders, owners: string): void {
  // Files first, owners second: an owner announces itself before it makes its first file.
  const files = readdirSync(folders.temporary)
  const states = new Map<string, 'alive' | 'dead' | 'unknown'>()
  for (const id of readdirSync(owners)) {
    const owner = readOwner(join(owners, id))
    states.set(id, owner === null ? 'unknown' : processState(owner.identity))
  }
  const busyOwners = new Set<string>()
  for (const file of files) {
    const ownerId = file.slice(0, Math.max(0, file.indexOf('-')))
    const path = join(folders.temporary, file)
    const state = states.get(ownerId) ?? 'dead'
    if (state === 'alive' || (state === 'unknown' && isRecent(path))) busyOwners.add(ownerId)
    else removeFile(path)
  }
  for (const [id, state] of states) {
    const path = join(owners, id)
    if (state === 'dead' || (state === 'unknown' && !busyOwners.has(id) && !isRecent(path))) removeFile(path)
  }
}

function isRecent(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Date.now() - Math.max(stats.ctimeMs, stats.mtimeMs) < UNKNOWN_OWNER_LIMIT_MS
}

function isFolder(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return false
  if (!stats.isDirectory()) throw unsafePath(path)
  return true
}

function makeFolder(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode })
    return true
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    isFolder(path)
    return false
  }
}

function rootIsNoDirectory(path: string, cause?: unknown): WorkspaceError {
  const message = `The store's root ${JSON.stringify(path)} is not a directory. Give a directory.`
  return new WorkspaceError('INVALID_INPUT', message, { cause, details: { path } })
}
