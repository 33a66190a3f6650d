import type { Buffer } from 'node:buffer'
import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs'
import type { Dirent } from 'node:fs'
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
import {
  endBlocks,
  openBlocks,
  putContent,
  putHeader,
  type BlockPool,
  type Blocks,
  type BlockState,
} from './archive-blocks.ts'
import { noteSkipped, type ArchiveNotes } from './archive-notes.ts'
import { readLinkBytes } from '../../filesystem/native-bytes.ts'
import { pathText } from '../../filesystem/path-text.ts'
import { excludeFilter } from '../exclude-filter.ts'
import { MAX_TAR_PATH_BYTES } from './tar-header.ts'

const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

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
    ...openBlocks(pool),
    notes,
    isExcluded: excludeFilter(exclude),
    firstPaths: new Map(),
  }
  yield* putTree(state, openRoot(directory))
  yield* endBlocks(state)
}

interface WriterState extends BlockState {
  readonly isExcluded: (path: ByteString) => boolean
  /** Where a file with several names was first met, by device and inode. */
  readonly firstPaths: Map<string, ByteString>
}

interface OpenDirectory {
  readonly handle: DirectoryHandle
  /** Its path with a slash at the end; '' for the root. */
  readonly prefix: ByteString
  readonly entries: Iterator<Dirent>
}

/** Closes the root, too. */
function* putTree(state: WriterState, root: DirectoryHandle): Blocks {
  // Not by recursion: each block would pass through as many generators as it lies deep, and a stack of calls ends.
  const open: OpenDirectory[] = []
  let entered: DirectoryHandle | null = root
  try {
    yield* putHeader(state, './', 'directory', fstatSync(root.fd, { bigint: true }), 0, '')
    state.notes.totals.directories += 1
    open.push(openListing(state, root, ''))
    entered = null
    for (let inner = open.at(-1); inner !== undefined; inner = open.at(-1)) {
      const { handle, prefix, entries } = inner
      const next = entries.next()
      if (next.done === true) {
        open.pop()
        closeDirectory(handle)
        continue
      }
      const path = prefix + next.value.name
      entered = yield* putEntry(state, handle, next.value, path)
      if (entered === null) continue
      open.push(openListing(state, entered, `${path}/`))
      entered = null
    }
  } finally {
    if (entered !== null) closeDirectory(entered)
    for (const { handle } of open) closeDirectory(handle)
  }
}

function openListing(state: WriterState, handle: DirectoryHandle, prefix: ByteString): OpenDirectory {
  try {
    return { handle, prefix, entries: listDirectory(handle).values() }
  } catch (error) {
    noteSkipped(state.notes, prefix.slice(0, -1), error)
    return { handle, prefix, entries: [].values() }
  }
}

/** Blocks, and a directory that is to be gone through. */
type BlocksOfEntry = Generator<Buffer, DirectoryHandle | null, void>

function* putEntry(
  state: WriterState,
  parent: DirectoryHandle,
  entry: Dirent,
  path: ByteString,
): BlocksOfEntry {
  const { notes } = state
  if (state.isExcluded(path)) notes.excluded.push(pathText(path))
  else if (path.length >= MAX_TAR_PATH_BYTES) {
    notes.skipped.push({ path: pathText(path), reason: 'unsupported-name' })
  } else {
    try {
      if (entry.isFile()) yield* putFile(state, parent, entry.name, path)
      else if (entry.isDirectory()) return yield* putSubdirectory(state, parent, entry.name, path)
      else return yield* putOther(state, parent, entry.name, path)
    } catch (error) {
      noteSkipped(notes, path, error)
    }
  }
  return null
}

function* putSubdirectory(
  state: WriterState,
  parent: DirectoryHandle,
  name: ByteString,
  path: ByteString,
): BlocksOfEntry {
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
  let isPut = false
  try {
    yield* putHeader(state, `${path}/`, 'directory', fstatSync(directory.fd, { bigint: true }), 0, '')
    state.notes.totals.directories += 1
    isPut = true
    return directory
  } finally {
    if (!isPut) closeDirectory(directory)
  }
}

function* putOther(
  state: WriterState,
  parent: DirectoryHandle,
  name: ByteString,
  path: ByteString,
): BlocksOfEntry {
  const stats = lstatSync(childPath(parent, name), { bigint: true })
  // Some file systems do not tell types in their listings.
  if (stats.isDirectory()) return yield* putSubdirectory(state, parent, name, path)
  if (stats.isFile()) yield* putFile(state, parent, name, path)
  else if (!stats.isSymbolicLink()) state.notes.skipped.push({ path: pathText(path), reason: 'special-file' })
  else {
    const text = readLinkBytes(childPath(parent, name)).toString('latin1')
    yield* putHeader(state, path, 'symlink', stats, 0, text)
    state.notes.totals.symlinks += 1
  }
  return null
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
