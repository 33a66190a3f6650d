import { Buffer } from 'node:buffer'
import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs'
import type { Dirent } from 'node:fs'
import { WorkspaceError } from '../errors.ts'
import { bytesOf, readLinkBytes } from './native-bytes.ts'

/**
 * Names and paths inside the archive code are byte strings: one character per byte (Latin-1). They compare in byte
 * order, concatenate, and hold every name that a file can have.
 */
export type ByteString = string

/**
 * An open directory that names are looked up in. On Linux a lookup goes through `/proc/<pid>/fd`, which stays with the
 * directory that was opened, whatever is renamed or swapped for a link meanwhile, and keeps paths short at any depth.
 * Elsewhere it goes by path: a concurrent swap of a parent is then found only by the identity check of `openChild`.
 */
export interface DirectoryHandle {
  readonly base: ByteString
  readonly fd: number
}

/** The system refuses paths of 4,096 bytes and more. */
export const MAX_PATH_BYTES = 3500

// eslint-disable-next-line no-control-regex -- tells bytes that need no conversion
const ascii = /^[\u0000-\u007f]*$/
/** Where this process finds its open files; `null` where it cannot. */
const descriptors = process.platform === 'linux' ? findDescriptors() : null

/** Whether Node's own strings name it; anything else has to become bytes. */
export function isPlainPath(path: ByteString): boolean {
  return ascii.test(path)
}

export function toFilePath(path: ByteString): string | Buffer {
  return ascii.test(path) ? path : Buffer.from(path, 'latin1')
}

export function toByteString(path: string): ByteString {
  return ascii.test(path) ? path : Buffer.from(path, 'utf8').toString('latin1')
}

export function childPath(directory: DirectoryHandle, name: ByteString): string | Buffer {
  return toFilePath(`${directory.base}/${name}`)
}

/** Opens a directory by path; links in the path count as part of the caller's own naming. */
export function openRoot(path: ByteString): DirectoryHandle {
  return open(path, constants.O_RDONLY | constants.O_DIRECTORY)
}

/**
 * Opens a directory by its real path, and no other one: not what a link leads to that was put in its place, or in that of a
 * directory above it.
 * @throws `UNSAFE_PATH`
 */
export function openRealRoot(path: ByteString): DirectoryHandle {
  const handle = openRoot(path)
  try {
    // What was opened says where it is; to look along the path again would leave a moment in between.
    const place =
      descriptors === null
        ? bytesOf(realpathSync(toFilePath(path), { encoding: 'buffer' }))
        : readLinkBytes(handle.base)
    if (place.toString('latin1') === path) return handle
    throw anotherPlace(Buffer.from(path, 'latin1').toString())
  } catch (error) {
    closeDirectory(handle)
    throw error
  }
}

/** That a directory is a link by now, or lies behind one, to a place that nobody has named. */
export function anotherPlace(path: string): WorkspaceError {
  return new WorkspaceError(
    'UNSAFE_PATH',
    `${path} is no longer the directory that it was: it, or one above it, is a link now. Nothing was read or changed where that leads. Put the directory back in its place.`,
    { details: { path } },
  )
}

/** Opens a directory by its name in another one; a link of that name is refused (`ENOTDIR` or `ELOOP`). */
export function openChild(directory: DirectoryHandle, name: ByteString): DirectoryHandle {
  return open(
    `${directory.base}/${name}`,
    constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
  )
}

export function closeDirectory(directory: DirectoryHandle): void {
  closeSync(directory.fd)
}

/** The names with their types, in byte order. */
export function listDirectory(directory: DirectoryHandle): Dirent[] {
  return inByteOrder(readdirSync(toFilePath(directory.base), { withFileTypes: true, encoding: 'latin1' }))
}

/** Sorts the array itself. */
export function inByteOrder(entries: Dirent[]): Dirent[] {
  return entries.sort((left, right) => (left.name < right.name ? -1 : left.name > right.name ? 1 : 0))
}

function open(path: ByteString, flags: number): DirectoryHandle {
  const fd = openSync(toFilePath(path), flags)
  return { base: descriptors === null ? path : `${descriptors}/${fd}`, fd }
}

/** By the number that `/proc` itself gives this process: to look up `self` with each call costs a tenth of it. */
function findDescriptors(): ByteString | null {
  try {
    const found = `/proc/${readlinkSync('/proc/self')}/fd`
    const fd = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      const through = statSync(`${found}/${fd}/.`)
      const direct = lstatSync('/')
      return through.ino === direct.ino && through.dev === direct.dev ? found : null
    } finally {
      closeSync(fd)
    }
  } catch {
    return null
  }
}
