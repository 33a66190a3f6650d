import { fstatSync, lstatSync, readdirSync, type BigIntStats, type Dirent } from 'node:fs'
import { readLinkBytes } from '../../../filesystem/native-bytes.ts'
import {
  childPath,
  listDirectory,
  MAX_PATH_BYTES,
  toFilePath,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { showsNamesInChangeTime } from '../../../filesystem/names-in-change-time.ts'
import { isWorkDirectoryName } from '../../../filesystem/work-name.ts'
import type { EntryFacts, FileEntry, SymlinkEntry } from '../../format/tree-node.ts'
import type { DirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import { fileStats, type FileStats } from '../known/file-stats.ts'
import { hasKnownStats, isUntouched } from '../known/known-stats.ts'
import { joinPath, type KnownDirectory } from '../known/known-tree.ts'
import { factsOf, hasFacts } from './entry-facts.ts'
import type { LookAhead } from './look-ahead.ts'
import type { LimitReason } from './new-file-limits.ts'
import { skipReason } from '../../skip-reason.ts'
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
  /** It was not listed: it has not changed since it held the names that are known. */
  readonly isAsListed: boolean
  /** What it was before it was listed; `null` where that says nothing about its names. */
  readonly stats: FileStats | null
  /** How many names it held; -1 when it could not be listed. */
  nameCount: number
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
  /** The names in a directory, in byte order, where somebody has listed it shortly before. */
  readonly listed: (path: ByteString) => readonly Dirent[] | null
  /** Who looks at what is known; `null`: the walk alone. */
  readonly ahead: Pick<LookAhead, 'untouchedIn'> | null
  readonly isExcluded: (path: ByteString) => boolean
  /** Why a new file is to be left out. */
  readonly limitOf: (path: ByteString, bytes: number) => LimitReason | null
  readonly notes: SaveNotes
}

/** What the walk finds out about the tree before it begins. */
interface Walk extends WalkOptions {
  /** Of the file system whose directories show in their change time whether names came or went; `null` when none does. */
  readonly trustedDevice: bigint | null
}

/**
 * Lists the tree, each directory before what it holds; yields each, whose entries may then be exchanged.
 *
 * A directory is not listed when its change time shows that it holds the names that are known. What has these names is
 * looked at all the same.
 *
 * A directory that an earlier save knew is first compared by path, which is fast but could be led astray by somebody
 * who swaps a directory on the way for a link: all that it can do is to confirm what is known already. Whatever differs
 * is taken anew through a handle that follows no link.
 */
export function* walkDirectory(options: WalkOptions): Generator<FoundDirectory, FoundDirectory[], void> {
  const rootStats = fstatSync(options.cursor.root.fd, { bigint: true })
  const isTrusted = showsNamesInChangeTime(toFilePath(options.directory))
  const walk: Walk = { ...options, trustedDevice: isTrusted ? rootStats.dev : null }
  const root = found('', factsOf('', rootStats), options.known(''), false, null)
  const all: FoundDirectory[] = []
  const pending = [root]
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    all.push(directory)
    if (!confirmKnown(directory, walk)) takeEntries(directory, walk)
    const { entries } = directory
    for (let index = entries.length - 1; index >= 0; index -= 1) {
      const entry = entries[index]
      if (entry?.kind === 'directory') pending.push(entry.directory)
    }
    yield directory
  }
  return all
}

function found(
  path: ByteString,
  facts: EntryFacts,
  known: KnownDirectory | null,
  isAsListed: boolean,
  stats: FileStats | null,
): FoundDirectory {
  return { path, facts, known, isSame: false, isGone: false, isAsListed, stats, nameCount: -1, entries: [] }
}

/** @param index where `parent` knows it; -1 where it does not */
function foundBelow(
  parent: FoundDirectory,
  facts: EntryFacts,
  index: number,
  stats: BigIntStats,
  { known, trustedDevice }: Walk,
): FoundDirectory {
  const path = joinPath(parent.path, facts.name)
  const before = known(path)
  if (stats.dev !== trustedDevice) return found(path, facts, before, false, null)
  const entry = parent.known?.entries[index]
  const isAsListed =
    before !== null &&
    parent.known !== null &&
    entry?.type === 'directory' &&
    entry.node === before.node &&
    hasKnownStats(parent.known, index, stats)
  return found(path, facts, before, isAsListed, fileStats(stats))
}

/** Fills in the entries and says true when all of them are as they were. */
function confirmKnown(directory: FoundDirectory, walk: Walk): boolean {
  const { known, path, entries } = directory
  if (known === null || walk.directory.length + path.length > MAX_PATH_BYTES) return false
  const base = path === '' ? walk.directory : `${walk.directory}/${path}`
  const names = directory.isAsListed ? null : namesIn(base)
  if (!directory.isAsListed && names?.length !== known.entries.length) return false
  const isSame = walk.ahead?.untouchedIn(path, known) ?? null
  try {
    for (const [index, { name }] of known.entries.entries()) {
      if (names !== null && names[index] !== name) return reset(directory)
      if (walk.isExcluded(joinPath(path, name))) return reset(directory)
      const entry =
        isSame?.(index) === true
          ? sameEntry(known, index)
          : confirmEntry(directory, index, lookAt(base, name), walk)
      if (entry === null) return reset(directory)
      entries.push(entry)
    }
  } catch {
    return reset(directory)
  }
  directory.isSame = true
  directory.nameCount = entries.length
  return true
}

/** `null` for an entry that is not as it was. */
function confirmEntry(
  directory: FoundDirectory,
  index: number,
  stats: BigIntStats,
  walk: Walk,
): FoundEntry | null {
  const { known } = directory
  const entry = known?.entries[index]
  if (entry === undefined || known === null) return null
  if (entry.type === 'directory') {
    if (!stats.isDirectory() || !hasFacts(entry, stats)) return null
    return { kind: 'directory', directory: foundBelow(directory, entry, index, stats, walk) }
  }
  if (!isUntouched(known, index, stats)) return null
  return stats.nlink > 1n ? { kind: 'leaf', entry, stats: fileStats(stats) } : { kind: 'same', entry }
}

function sameEntry({ entries }: KnownDirectory, index: number): FoundEntry | null {
  const entry = entries[index]
  return entry === undefined || entry.type === 'directory' ? null : { kind: 'same', entry }
}

function lookAt(base: ByteString, name: ByteString): BigIntStats {
  return lstatSync(toFilePath(`${base}/${name}`), { bigint: true })
}

/** Sorted; `null` where they cannot be had. */
function namesIn(path: ByteString): ByteString[] | null {
  try {
    return readdirSync(toFilePath(path), { encoding: 'latin1' }).sort()
  } catch {
    return null
  }
}

function reset(directory: FoundDirectory): false {
  directory.entries.length = 0
  return false
}

function takeEntries(directory: FoundDirectory, walk: Walk): void {
  const { path } = directory
  let handle: DirectoryHandle
  let list: readonly Dirent[]
  try {
    handle = walk.cursor.open(path)
    list = walk.listed(path) ?? listDirectory(handle)
  } catch (error) {
    if (path === '') throw error
    const reason = skipReason(error)
    directory.isGone = reason === 'vanished'
    walk.notes.skip(path, reason)
    return
  }
  directory.nameCount = list.length
  let position = 0
  for (const { name } of list) {
    if (path === '' && isWorkDirectoryName(name)) continue
    const full = joinPath(path, name)
    if (walk.isExcluded(full)) {
      walk.notes.exclude(full)
      continue
    }
    const known = directory.known?.entries ?? []
    while ((known[position]?.name ?? '\uffff') < name) position += 1
    try {
      const entry = takeEntry(directory, handle, name, position, walk)
      if (entry !== null) directory.entries.push(entry)
    } catch (error) {
      walk.notes.skip(full, skipReason(error))
    }
  }
}

function takeEntry(
  directory: FoundDirectory,
  handle: DirectoryHandle,
  name: ByteString,
  position: number,
  walk: Walk,
): FoundEntry | null {
  const { path, known } = directory
  const file = childPath(handle, name)
  const stats = lstatSync(file, { bigint: true })
  const before = known?.entries[position]
  const isKnown = before?.name === name
  if (stats.isDirectory()) {
    const facts =
      isKnown && before.type === 'directory' && hasFacts(before, stats) ? before : factsOf(name, stats)
    return {
      kind: 'directory',
      directory: foundBelow(directory, facts, isKnown ? position : -1, stats, walk),
    }
  }
  if (stats.isFile()) {
    if (isKnown && before.type === 'file' && known !== null && isUntouched(known, position, stats)) {
      return { kind: 'leaf', entry: before, stats: fileStats(stats) }
    }
    const limit =
      isKnown && before.type === 'file' ? null : walk.limitOf(joinPath(path, name), Number(stats.size))
    if (limit === null) return { kind: 'unread', name, stats: fileStats(stats) }
    walk.notes.skip(joinPath(path, name), limit)
    return null
  }
  if (stats.isSymbolicLink()) {
    const target = readLinkBytes(file).toString('latin1')
    return {
      kind: 'leaf',
      entry: { type: 'symlink', ...factsOf(name, stats), target },
      stats: fileStats(stats),
    }
  }
  walk.notes.skip(joinPath(path, name), 'special-file')
  return null
}
