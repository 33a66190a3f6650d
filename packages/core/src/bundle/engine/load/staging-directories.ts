import { fchmodSync, fstatSync, futimesSync, mkdirSync, readFileSync } from 'node:fs'
import { WorkspaceError } from '../../../errors.ts'
import {
  childPath,
  closeDirectory,
  openChild,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { fileTime } from '../../../filesystem/file-time.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { FileFields } from './restore-frame.ts'

/** Directories that are being made below a private one, by number; 0 is that one. */
export interface StagingDirectories {
  /** So many may be acquired at once for one frame: several frames are written at once, and the system allows so many. */
  readonly mostHeld: number
  /** @returns its number */
  make(parent: number, name: ByteString, fields: FileFields): number
  /** Opens it, or shares what is open; `release` when done. Names are then looked up in it and nowhere else. */
  acquire(directory: number): DirectoryHandle
  release(directory: number): void
  /** Nothing more will be planned in it. Those in it are left before. */
  leave(directory: number): void
  /** Those that were left since the last call, in that order. */
  takeLeft(): readonly number[]
  /** Gives directories in which everything is made their modes and times. */
  finish(directories: readonly number[], slice: TimeSlice): Promise<void>
  close(): void
}

interface Made {
  readonly parent: number
  readonly name: ByteString
  readonly inode: bigint
  readonly mode: number
  readonly fields: FileFields | null
}

interface OpenDirectory {
  readonly handle: DirectoryHandle
  users: number
}

/** One that is closed meanwhile has to be found again. A host needs descriptors too, so it is a part of what there are. */
const KEPT_OPEN = Math.min(2000, Math.floor(maxOpenFiles() / 8))
/** The system takes paths of 4,096 bytes. */
const MAX_HOP_BYTES = 3000

export function createStagingDirectories(root: DirectoryHandle): StagingDirectories {
  const all: Made[] = [{ parent: -1, name: '', inode: 0n, mode: 0, fields: null }]
  const open = new Map<number, OpenDirectory>([[0, { handle: root, users: 1 }]])
  const left: number[] = []

  function acquire(directory: number): DirectoryHandle {
    let entry = open.get(directory)
    if (entry === undefined) {
      entry = { handle: reopenMade(all, open, directory), users: 0 }
      evict()
    } else if (directory !== 0) open.delete(directory)
    open.set(directory, entry)
    entry.users += 1
    return entry.handle
  }

  function release(directory: number): void {
    const entry = open.get(directory)
    if (entry !== undefined) entry.users -= 1
  }

  /** One that is complete is not opened again. */
  function forget(directory: number): void {
    const entry = open.get(directory)
    if (entry === undefined) return
    open.delete(directory)
    closeDirectory(entry.handle)
  }

  /** Makes room for one more, the longest unused first. */
  function evict(): void {
    if (open.size < KEPT_OPEN) return
    for (const [directory, { handle, users }] of open) {
      if (users > 0) continue
      open.delete(directory)
      closeDirectory(handle)
      if (open.size < KEPT_OPEN) return
    }
  }

  return {
    mostHeld: Math.max(1, Math.floor(KEPT_OPEN / 4)),
    acquire,
    release,
    make(parent, name, fields) {
      const outer = acquire(parent)
      let handle: DirectoryHandle
      try {
        // With its last mode where that lets us work in it; nobody else gets through the private one above.
        const mode = (fields.mode & 0o700) === 0o700 ? fields.mode : 0o700
        exclusively(name, () => mkdirSync(childPath(outer, name), { mode }))
        handle = openChild(outer, name)
      } finally {
        release(parent)
      }
      const number = all.length
      const stats = fstatSync(handle.fd, { bigint: true })
      all.push({ parent, name, inode: stats.ino, mode: Number(stats.mode) & 0o7777, fields })
      evict()
      open.set(number, { handle, users: 0 })
      return number
    },
    leave: (directory) => void left.push(directory),
    takeLeft: () => left.splice(0),
    async finish(directories, slice) {
      for (const number of directories) {
        const made = all[number]
        if (made === undefined || made.fields === null) continue
        const { fields, mode } = made
        const { fd } = acquire(number)
        const time = fileTime(fields.mtimeSeconds, fields.mtimeNanoseconds)
        if (fields.mode !== mode) fchmodSync(fd, fields.mode)
        futimesSync(fd, time, time)
        forget(number)
        const pause = slice.pauseWhenDue()
        if (pause !== undefined) await pause
      }
    },
    close() {
      for (const [directory, { handle }] of open) if (directory !== 0) closeDirectory(handle)
      open.clear()
    },
  }
}

function maxOpenFiles(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1')
    return Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? 3200)
  } catch {
    return 3200
  }
}

/** By a path that somebody may have tampered with, so what it leads to must be the directory that was made. */
function reopenMade(
  all: readonly Made[],
  open: ReadonlyMap<number, OpenDirectory>,
  directory: number,
): DirectoryHandle {
  const names: ByteString[] = []
  let above = directory
  let start: DirectoryHandle | undefined
  while (start === undefined) {
    const made = all[above]
    if (made === undefined)
      throw new WorkspaceError('INTERNAL', 'A directory was asked for that was never made.')
    names.push(made.name)
    above = made.parent
    start = open.get(above)?.handle
  }
  const handle = openBelow(start, names.reverse())
  if (fstatSync(handle.fd, { bigint: true }).ino === all[directory]?.inode) return handle
  closeDirectory(handle)
  throw new WorkspaceError(
    'CONFLICT',
    'Somebody moves directories of a load that is going on. Nothing was changed; load again.',
  )
}

/** In hops that the system takes at once. */
function openBelow(start: DirectoryHandle, names: readonly ByteString[]): DirectoryHandle {
  let handle = start
  let hop = ''
  const take = (): void => {
    const outer = handle
    try {
      handle = openChild(outer, hop)
    } finally {
      if (outer !== start) closeDirectory(outer)
    }
  }
  for (const name of names) {
    if (hop !== '' && hop.length + name.length >= MAX_HOP_BYTES) {
      take()
      hop = ''
    }
    hop = hop === '' ? name : `${hop}/${name}`
  }
  take()
  return handle
}

/** In a directory that only this load knows, a name that is taken means: the file system confuses two names. */
export function exclusively<T>(name: ByteString, make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    const entry = pathText(name)
    throw new WorkspaceError(
      'UNSAFE_PATH',
      `This file system takes the name ${JSON.stringify(entry)} for that of another entry. Nothing was changed.`,
      { cause: error, details: { entry } },
    )
  }
}

/** Makes a link where no such name is. @throws `UNSUPPORTED` where the file system has no such links, naming it */
export function makingLink(name: ByteString, kind: 'symbolic link' | 'hard link', make: () => void): void {
  try {
    exclusively(name, make)
  } catch (error) {
    if (!['ENOSYS', 'EPERM', 'EOPNOTSUPP', 'ENOTSUP'].includes(errnoOf(error) ?? '')) throw error
    const entry = pathText(name)
    throw new WorkspaceError(
      'UNSUPPORTED',
      `This file system holds no ${kind}s, and ${JSON.stringify(entry)} is one. Nothing was changed. Load into a directory on another file system, or leave it out with "exclude".`,
      { cause: error, details: { entry } },
    )
  }
}
