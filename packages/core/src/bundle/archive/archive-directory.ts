import { Buffer } from 'node:buffer'
import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs'
import type { BigIntStats, Dirent } from 'node:fs'
import {
  childPath,
  closeDirectory,
  listDirectory,
  openChild,
  openRoot,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { fillBuffer } from '../../filesystem/fill-buffer.ts'
import { noteSkipped, type ArchiveNotes } from './archive-notes.ts'
import { readLinkBytes } from '../../filesystem/native-bytes.ts'
import { pathText } from '../../filesystem/path-text.ts'
import { excludeFilter } from '../exclude-filter.ts'
import { MAX_HEADER_BYTES, TAR_BLOCK_BYTES, paddedLength, writeTarHeader } from './tar-header.ts'

/** Uncompressed bytes of one block, which becomes one compressed frame. */
export const ARCHIVE_BLOCK_BYTES = 2 * 1024 * 1024

const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const MAX_ATTEMPTS = 3

/** Blocks that are done with, to be filled again: fresh ones would pile up until the collector runs. */
export type BlockPool = Buffer[]

/**
 * The directory as blocks of a tar stream, made with synchronous calls: run it where that does not matter, or give the
 * event loop a turn between blocks. Entries come in byte order, each directory before what it holds; the same tree
 * gives the same bytes. No link is followed, nothing but regular files, directories and links is opened.
 */
export function* archiveDirectory(
  directory: ByteString,
  exclude: readonly string[],
  notes: ArchiveNotes,
  pool: BlockPool,
): Generator<Buffer, void, void> {
  const state: WriterState = {
    notes,
    isExcluded: excludeFilter(exclude),
    firstPaths: new Map(),
    pool,
    block: Buffer.allocUnsafeSlow(ARCHIVE_BLOCK_BYTES),
    used: 0,
  }
  const root = openRoot(directory)
  try {
    const stats = fstatSync(root.fd, { bigint: true })
    yield* putHeader(state, './', 'directory', stats, 0, '')
    notes.totals.directories += 1
    yield* putDirectory(state, root, '')
  } finally {
    closeDirectory(root)
  }
  yield* reserve(state, 2 * TAR_BLOCK_BYTES)
  state.block.fill(0, state.used, state.used + 2 * TAR_BLOCK_BYTES)
  state.used += 2 * TAR_BLOCK_BYTES
  yield* flush(state)
}

interface WriterState {
  readonly notes: ArchiveNotes
  readonly isExcluded: (path: ByteString) => boolean
  /** Where a file with several names was first met, by device and inode. */
  readonly firstPaths: Map<string, ByteString>
  readonly pool: BlockPool
  block: Buffer
  used: number
}

type Blocks = Generator<Buffer, void, void>

function* putDirectory(state: WriterState, directory: DirectoryHandle, prefix: ByteString): Blocks {
  let entries: Dirent[]
  try {
    entries = listDirectory(directory)
  } catch (error) {
    noteSkipped(state.notes, prefix.slice(0, -1), error)
    return
  }
  for (const entry of entries) {
    const path = prefix + entry.name
    if (state.isExcluded(path)) {
      state.notes.excluded.push(pathText(path))
      continue
    }
    try {
      if (entry.isFile()) yield* putFile(state, directory, entry.name, path)
      else if (entry.isDirectory()) yield* putSubdirectory(state, directory, entry.name, path)
      else yield* putOther(state, directory, entry.name, path)
    } catch (error) {
      noteSkipped(state.notes, path, error)
    }
  }
}

function* putSubdirectory(
  state: WriterState,
  parent: DirectoryHandle,
  name: ByteString,
  path: ByteString,
): Blocks {
  let directory: DirectoryHandle
  try {
    directory = openChild(parent, name)
  } catch (error) {
    const stats = errnoOf(error) === 'EACCES' ? lstatSync(childPath(parent, name), { bigint: true }) : null
    if (stats?.isDirectory() !== true) throw error
    yield* putHeader(state, `${path}/`, 'directory', stats, 0, '')
    state.notes.totals.directories += 1
    throw error
  }
  try {
    yield* putHeader(state, `${path}/`, 'directory', fstatSync(directory.fd, { bigint: true }), 0, '')
    state.notes.totals.directories += 1
    yield* putDirectory(state, directory, `${path}/`)
  } finally {
    closeDirectory(directory)
  }
}

function* putOther(state: WriterState, parent: DirectoryHandle, name: ByteString, path: ByteString): Blocks {
  const stats = lstatSync(childPath(parent, name), { bigint: true })
  if (!stats.isSymbolicLink()) {
    // Some file systems do not tell types in their listings.
    if (stats.isFile()) yield* putFile(state, parent, name, path)
    else if (stats.isDirectory()) yield* putSubdirectory(state, parent, name, path)
    else state.notes.skipped.push({ path: pathText(path), reason: 'special-file' })
    return
  }
  const text = readLinkBytes(childPath(parent, name)).toString('latin1')
  yield* putHeader(state, path, 'symlink', stats, 0, text)
  state.notes.totals.symlinks += 1
}

function* putFile(state: WriterState, parent: DirectoryHandle, name: ByteString, path: ByteString): Blocks {
  const fd = openSync(childPath(parent, name), READ_FLAGS)
  try {
    const stats = fstatSync(fd, { bigint: true })
    if (!stats.isFile()) {
      state.notes.skipped.push({ path: pathText(path), reason: 'special-file' })
      return
    }
    if (stats.nlink > 1n) {
      const key = `${stats.dev}:${stats.ino}`
      const first = state.firstPaths.get(key)
      if (first !== undefined) {
        yield* putHeader(state, path, 'hard-link', stats, 0, first)
        state.notes.totals.hardLinks += 1
        return
      }
      yield* putContent(state, fd, stats, path)
      state.firstPaths.set(key, path)
    } else {
      yield* putContent(state, fd, stats, path)
    }
    state.notes.totals.files += 1
  } finally {
    closeSync(fd)
  }
}

/** A file that fits into one block is read again when it changed meanwhile; a larger one is cut or padded. */
function* putContent(state: WriterState, fd: number, firstStats: BigIntStats, path: ByteString): Blocks {
  let stats = firstStats
  for (let attempt = 1; ; attempt += 1) {
    const size = Number(stats.size)
    const needed = MAX_HEADER_BYTES + paddedLength(size)
    if (needed > ARCHIVE_BLOCK_BYTES) {
      yield* putLargeContent(state, fd, stats, path)
      return
    }
    yield* reserve(state, needed)
    const content =
      state.used + writeTarHeader(state.block, state.used, headerFields(path, 'file', stats, size, ''))
    const read = fillBuffer(fd, state.block, content, size, 0)
    const after = fstatSync(fd, { bigint: true })
    const isStable = read === size && isSameContent(stats, after)
    if (isStable || attempt === MAX_ATTEMPTS) {
      if (!isStable) state.notes.unstable.push(pathText(path))
      state.block.fill(0, content + read, content + paddedLength(size))
      state.used = content + paddedLength(size)
      state.notes.totals.contentBytes += size
      return
    }
    stats = after
  }
}

function* putLargeContent(state: WriterState, fd: number, stats: BigIntStats, path: ByteString): Blocks {
  const size = Number(stats.size)
  yield* putHeader(state, path, 'file', stats, size, '')
  let position = 0
  let isShort = false
  while (position < size) {
    if (state.used === state.block.length) yield* flush(state)
    const wanted = Math.min(size - position, state.block.length - state.used)
    const read = isShort ? 0 : readOrStop(fd, state.block, state.used, wanted, position)
    if (read < wanted) isShort = true
    state.block.fill(0, state.used + read, state.used + wanted)
    state.used += wanted
    position += wanted
  }
  const padding = paddedLength(size) - size
  yield* reserve(state, padding)
  state.block.fill(0, state.used, state.used + padding)
  state.used += padding
  state.notes.totals.contentBytes += size
  if (isShort || !isSameContent(stats, fstatSync(fd, { bigint: true }))) {
    state.notes.unstable.push(pathText(path))
  }
}

/** The header is out, so a read that fails now can only be padded over. */
function readOrStop(fd: number, block: Buffer, offset: number, length: number, position: number): number {
  try {
    return fillBuffer(fd, block, offset, length, position)
  } catch {
    return 0
  }
}

function isSameContent(before: BigIntStats, after: BigIntStats): boolean {
  return before.size === after.size && before.mtimeNs === after.mtimeNs && before.ctimeNs === after.ctimeNs
}

function* putHeader(
  state: WriterState,
  path: ByteString,
  type: 'file' | 'directory' | 'symlink' | 'hard-link',
  stats: BigIntStats,
  size: number,
  linkPath: ByteString,
): Blocks {
  yield* reserve(state, MAX_HEADER_BYTES + 3 * (path.length + linkPath.length))
  state.used += writeTarHeader(state.block, state.used, headerFields(path, type, stats, size, linkPath))
}

function headerFields(
  path: ByteString,
  type: 'file' | 'directory' | 'symlink' | 'hard-link',
  stats: BigIntStats,
  size: number,
  linkPath: ByteString,
) {
  return { path, type, mode: Number(stats.mode) & 0o7777, size, mtimeNs: stats.mtimeNs, linkPath }
}

function* reserve(state: WriterState, bytes: number): Blocks {
  if (state.block.length - state.used < bytes) yield* flush(state)
}

function* flush(state: WriterState): Blocks {
  if (state.used === 0) return
  const full = state.block.subarray(0, state.used)
  state.block = state.pool.pop() ?? Buffer.allocUnsafeSlow(ARCHIVE_BLOCK_BYTES)
  state.used = 0
  yield full
}
