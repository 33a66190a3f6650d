import {
  constants,
  fstatSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  type BigIntStats,
  type Dirent,
} from 'node:fs'
import {
  childPath,
  isPlainPath,
  listDirectory,
  toFilePath,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import { isSameFileTime } from '../../filesystem/file-time.ts'
import { isWorkDirectoryName } from '../../filesystem/work-directory.ts'
import type { EntryFacts, FileEntry, SymlinkEntry } from '../format/tree-node.ts'
import type { DirectoryCursor } from './directory-cursor.ts'
import { fileStats, type FileStats } from './file-stats.ts'
import { joinPath, STATS_PER_ENTRY, type KnownDirectory } from './known-tree.ts'
import type { LimitReason } from './new-file-limits.ts'
import { skipReason } from './skip-reason.ts'
import type { SaveNotes } from './save-notes.ts'

/** A directory as the walk found it. */
export interface FoundDirectory {
  readonly path: ByteString
  readonly facts: EntryFacts
  /** What an earlier save knew of it. */
  readonly known: KnownDirectory | null
  /** Nothing in the directory itself differs from `known` (something below may). */
  isSame: boolean
  /** It went away after its parent was listed. */
  isGone: boolean
  readonly entries: FoundEntry[]
}

export type FoundEntry =
  | { readonly kind: 'directory'; readonly directory: FoundDirectory }
  /** As it was: see the row of `known` at the same place. It has no other name. */
  | { readonly kind: 'same'; readonly entry: FileEntry | SymlinkEntry }
  | {
      readonly kind: 'leaf'
      readonly entry: FileEntry | SymlinkEntry
      /** `null` when the entry is not what is in the directory now. */
      readonly stats: FileStats | null
    }
  /** A file that has yet to be read. */
  | { readonly kind: 'unread'; readonly name: ByteString; readonly stats: FileStats }

export interface WalkOptions {
  readonly cursor: DirectoryCursor
  /** Absolute path of the root. */
  readonly directory: ByteString
  readonly known: (path: ByteString) => KnownDirectory | null
  readonly isExcluded: (path: ByteString) => boolean
  /** Why a new file is to be left out. */
  readonly limitOf: (path: ByteString, bytes: number) => LimitReason | null
  readonly notes: SaveNotes
}

/** The system refuses paths of 4,096 bytes and more. */
export const MAX_PATH_BYTES = 3500

/**
 * Lists the tree, each directory before what it holds; yields each, whose entries may then be exchanged.
 *
 * A directory that an earlier save knew is first compared by path, which is fast but could be led astray by somebody
 * who swaps a directory on the way for a link: all that it can do is to confirm what is known already. Whatever differs
 * is taken anew through a handle that follows no link.
 */
export function* walkDirectory(options: WalkOptions): Generator<FoundDirectory, FoundDirectory[], void> {
  const rootStats = fstatSync(options.cursor.root.fd, { bigint: true })
  const root = found('', factsOf('', rootStats), options)
  const all: FoundDirectory[] = []
  const pending = [root]
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    all.push(directory)
    if (!confirmKnown(directory, options)) takeEntries(directory, options)
    const { entries } = directory
    for (let index = entries.length - 1; index >= 0; index -= 1) {
      const entry = entries[index]
      if (entry?.kind === 'directory') pending.push(entry.directory)
    }
    yield directory
  }
  return all
}

export function factsOf(
  name: ByteString,
  stats: Pick<BigIntStats | FileStats, 'mode' | 'mtimeNs'>,
): EntryFacts {
  const { mtimeNs } = stats
  let seconds = mtimeNs / 1_000_000_000n
  if (mtimeNs < seconds * 1_000_000_000n) seconds -= 1n
  return {
    name,
    mode: Number(stats.mode) & 0o7777,
    mtimeSeconds: Number(seconds),
    mtimeNanoseconds: Number(mtimeNs - seconds * 1_000_000_000n),
  }
}

function found(path: ByteString, facts: EntryFacts, options: WalkOptions): FoundDirectory {
  return { path, facts, known: options.known(path), isSame: false, isGone: false, entries: [] }
}

/** Fills in the entries and says true when all of them are as they were. */
function confirmKnown(directory: FoundDirectory, options: WalkOptions): boolean {
  const { known, path, entries } = directory
  if (known === null || options.directory.length + path.length > MAX_PATH_BYTES) return false
  const base = path === '' ? options.directory : `${options.directory}/${path}`
  let names: string[]
  try {
    names = readdirSync(toFilePath(base), { encoding: 'latin1' })
  } catch {
    return false
  }
  if (names.length !== known.entries.length) return false
  names.sort()
  const isPlain = isPlainPath(base)
  try {
    for (let index = 0; index < names.length; index += 1) {
      const entry = known.entries[index]
      const name = names[index] ?? ''
      if (entry?.name !== name || options.isExcluded(joinPath(path, name))) return reset(directory)
      const file = `${base}/${name}`
      const stats = lstatSync(isPlain && isPlainPath(name) ? file : toFilePath(file), { bigint: true })
      if (entry.type === 'directory') {
        if (!stats.isDirectory() || !hasFacts(entry, stats)) return reset(directory)
        entries.push({ kind: 'directory', directory: found(joinPath(path, name), entry, options) })
      } else {
        if (!isUntouched(known, index, stats)) return reset(directory)
        entries.push(
          stats.nlink > 1n ? { kind: 'leaf', entry, stats: fileStats(stats) } : { kind: 'same', entry },
        )
      }
    }
  } catch {
    return reset(directory)
  }
  directory.isSame = true
  return true
}

function reset(directory: FoundDirectory): false {
  directory.entries.length = 0
  return false
}

function takeEntries(directory: FoundDirectory, options: WalkOptions): void {
  const { path } = directory
  let handle: DirectoryHandle
  let list: Dirent[]
  try {
    handle = options.cursor.open(path)
    list = listDirectory(handle)
  } catch (error) {
    if (path === '') throw error
    const reason = skipReason(error)
    directory.isGone = reason === 'vanished'
    options.notes.skip(path, reason)
    return
  }
  let position = 0
  for (const { name } of list) {
    if (path === '' && isWorkDirectoryName(name)) continue
    const full = joinPath(path, name)
    if (options.isExcluded(full)) {
      options.notes.exclude(full)
      continue
    }
    const known = directory.known?.entries ?? []
    while ((known[position]?.name ?? '\uffff') < name) position += 1
    try {
      const entry = takeEntry(directory, handle, name, position, options)
      if (entry !== null) directory.entries.push(entry)
    } catch (error) {
      options.notes.skip(full, skipReason(error))
    }
  }
}

function takeEntry(
  directory: FoundDirectory,
  handle: DirectoryHandle,
  name: ByteString,
  position: number,
  options: WalkOptions,
): FoundEntry | null {
  const { path, known } = directory
  const file = childPath(handle, name)
  const stats = lstatSync(file, { bigint: true })
  const before = known?.entries[position]
  const isKnown = before?.name === name
  if (stats.isDirectory()) {
    const facts =
      isKnown && before.type === 'directory' && hasFacts(before, stats) ? before : factsOf(name, stats)
    return { kind: 'directory', directory: found(joinPath(path, name), facts, options) }
  }
  if (stats.isFile()) {
    if (isKnown && before.type === 'file' && known !== null && isUntouched(known, position, stats)) {
      return { kind: 'leaf', entry: before, stats: fileStats(stats) }
    }
    const limit =
      isKnown && before.type === 'file' ? null : options.limitOf(joinPath(path, name), Number(stats.size))
    if (limit === null) return { kind: 'unread', name, stats: fileStats(stats) }
    options.notes.skip(joinPath(path, name), limit)
    return null
  }
  if (stats.isSymbolicLink()) {
    const target = readlinkSync(file, { encoding: 'latin1' })
    return {
      kind: 'leaf',
      entry: { type: 'symlink', ...factsOf(name, stats), target },
      stats: fileStats(stats),
    }
  }
  options.notes.skip(joinPath(path, name), 'special-file')
  return null
}

/** To compare numbers of 64 bits without an allocation for each. */
const found64 = new BigInt64Array(STATS_PER_ENTRY)
const found32 = new Int32Array(found64.buffer)

/** The very inode, unchanged since its content was read. A change of anything gives another change time. */
export function isUntouched(known: KnownDirectory, index: number, stats: BigIntStats): boolean {
  const entry = known.entries[index]
  if (entry === undefined || entry.type === 'directory') return false
  if (entry.mode !== (Number(stats.mode) & 0o7777)) return false
  const isSame =
    entry.type === 'symlink' ? stats.isSymbolicLink() : stats.isFile() && entry.size === Number(stats.size)
  if (!isSame) return false
  found64[0] = stats.dev
  found64[1] = stats.ino
  found64[2] = stats.ctimeNs
  found64[3] = stats.mtimeNs
  const { buffer, byteOffset, length } = known.stats
  const known32 = new Int32Array(buffer, byteOffset + index * STATS_PER_ENTRY * 8, 2 * STATS_PER_ENTRY)
  for (let half = 0; half < found32.length; half += 1) if (known32[half] !== found32[half]) return false
  return index < length
}

/** What `known` says about a file that is as it was and has no other name. */
export function knownStats(known: KnownDirectory, index: number, { mode, size }: FileEntry): FileStats {
  const row = index * STATS_PER_ENTRY
  const [dev = 0n, ino = 0n, ctimeNs = 0n, mtimeNs = 0n] = known.stats.subarray(row, row + STATS_PER_ENTRY)
  return { dev, ino, ctimeNs, mtimeNs, mode: constants.S_IFREG | mode, size, nlink: 1 }
}

/** Times as far as a load can set them: to the microsecond. */
function hasFacts(entry: EntryFacts, stats: BigIntStats): boolean {
  const mtimeNs = BigInt(entry.mtimeSeconds) * 1_000_000_000n + BigInt(entry.mtimeNanoseconds)
  return isSameFileTime(mtimeNs, stats.mtimeNs) && entry.mode === (Number(stats.mode) & 0o7777)
}
