import { fchownSync, fstatSync, mkdirSync, rmdirSync, type BigIntStats } from 'node:fs'
import {
  childPath,
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'
import { makeAccessible, openAccessible } from './open-accessible.ts'
import { renameEntry } from './rename-entry.ts'
import { setDirectoryFields } from './set-fields.ts'

const SECOND_NS = 1_000_000_000n

/** A name in an open directory. */
export interface EntryPlace {
  readonly directory: DirectoryHandle
  readonly name: ByteString
}

/**
 * Moves an entry within one file system, also a directory that cannot be renamed: overlayfs answers `EXDEV` for one of
 * a lower layer, which is what an image brings into a container
 * (https://docs.kernel.org/filesystems/overlayfs.html#renaming-directories). Its content moves then, entry by entry, into
 * a directory made for it. Where that fails or is killed in between, the same call goes on with the rest, and
 * {@link mergeEntry} the other way takes it back.
 */
export function moveEntry(from: EntryPlace, to: EntryPlace): void {
  try {
    renameEntry(pathOf(from), pathOf(to))
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw error
    moveDirectoryContent(from, to, error)
  }
}

/** The same, also where a part of a directory is in both places. */
export function mergeEntry(from: EntryPlace, to: EntryPlace): void {
  try {
    moveEntry(from, to)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno !== 'ENOTEMPTY' && errno !== 'EEXIST') throw error
    moveDirectoryContent(from, to, error)
  }
}

/**
 * Moves what a directory holds into another one, which is made where it is absent, gives that its owner, mode and times,
 * and removes the first one.
 * @param reason what to throw when the entry is no directory
 */
function moveDirectoryContent(from: EntryPlace, to: EntryPlace, reason: unknown): void {
  const source = openSource(from, reason)
  try {
    const stats = fstatSync(source.fd, { bigint: true })
    const destination = openDestination(to, stats)
    try {
      makeAccessible(source)
      for (const { name } of listDirectory(source))
        mergeEntry({ directory: source, name }, { directory: destination, name })
      rmdirSync(pathOf(from))
    } finally {
      // Also of one half: whoever takes it back has them from there.
      copyFields(destination, stats)
      closeDirectory(destination)
    }
  } finally {
    closeDirectory(source)
  }
}

function openSource(from: EntryPlace, reason: unknown): DirectoryHandle {
  try {
    return openAccessible(from.directory, from.name)
  } catch {
    throw reason
  }
}

function openDestination(place: EntryPlace, stats: BigIntStats): DirectoryHandle {
  const isMade = makeDirectory(place)
  const destination = openAccessible(place.directory, place.name)
  if (isMade) copyFields(destination, stats)
  makeAccessible(destination)
  return destination
}

/** False when it is there. */
function makeDirectory(place: EntryPlace): boolean {
  try {
    mkdirSync(pathOf(place), { mode: 0o700 })
    return true
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    return false
  }
}

function copyFields(directory: DirectoryHandle, stats: BigIntStats): void {
  if (process.geteuid?.() === 0) fchownSync(directory.fd, Number(stats.uid), Number(stats.gid))
  setDirectoryFields(directory, fieldsOf(stats))
}

function fieldsOf({ mode, mtimeNs }: BigIntStats): Parameters<typeof setDirectoryFields>[1] {
  const nanoseconds = Number(((mtimeNs % SECOND_NS) + SECOND_NS) % SECOND_NS)
  const seconds = Number((mtimeNs - BigInt(nanoseconds)) / SECOND_NS)
  return { mode: Number(mode) & 0o7777, seconds, nanoseconds }
}

function pathOf({ directory, name }: EntryPlace): ReturnType<typeof childPath> {
  return childPath(directory, name)
}
