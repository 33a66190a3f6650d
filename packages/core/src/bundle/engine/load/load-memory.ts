import { fchmodSync, fstatSync, lstatSync, type BigIntStats } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  childPath,
  toByteString,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { timeSlice } from '../../../filesystem/time-slice.ts'
import type { FileEntry, Run, TreeEntry } from '../../format/tree-node.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import type { ChunkLocator } from '../read/chunk-locator.ts'
import { createDirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import {
  findIndex,
  forgetPacks,
  nameOf,
  parentOf,
  STATS_PER_ENTRY,
  type KnownDirectory,
  type KnownTree,
} from '../known/known-tree.ts'
import { createListedDirectories, type ListedDirectories } from './listed-directories.ts'
import type { WrittenFile } from './restore-frame.ts'
import type { TreeDirectory } from '../read/tree-reader.ts'

/** What a load learns about the directory, so that the next load or save need not read it. */
export interface LoadMemory {
  /** A directory's entries, when they are known without the store. */
  entriesOf(directory: TreeDirectory): readonly TreeEntry[] | null
  /** What is known of a directory that is as it was when it was last loaded or saved. */
  knownDirectory(directory: TreeDirectory): KnownDirectory | null
  readonly listed: ListedDirectories
  /** Takes a directory in which nothing differs from what is known of it. */
  keepDirectory(path: ByteString, known: KnownDirectory): void
  /** Takes the entries of a directory of the version, in the parts that `rowsOf` knows; their runs are chunks and zeros. */
  addDirectory(directory: TreeDirectory, parts: readonly (readonly TreeEntry[])[]): void
  /** Where what is known of these entries is put down. */
  rowsOf(part: readonly TreeEntry[]): BigInt64Array
  /** Whether a file was not touched since the last load or save, and had this content then. */
  hasContent(path: ByteString, stats: BigIntStats, runs: readonly Run[]): boolean
  /** Takes a file or link that stays. @param isKnown whether `hasContent` said so, or it was read now */
  addKept(place: EntryRow, stats: BigIntStats, isKnown: boolean): void
  addWritten(place: EntryRow, file: FileEntry, written: Omit<WrittenFile, 'file'>): void
  /** Takes something new whose facts will change yet: it is looked at when everything is in place. */
  addUnsettled(place: EntryRow): void
  /**
   * The directory now is this version as a whole. Whoever is told so may change it at once, and has to be found out: not
   * before `waitForTick` of the change time that this returns.
   */
  conclude(target: string, record: VersionRecord, locator: ChunkLocator): Promise<bigint>
}

/** A file or link of the version, and where what is known of it is put down. */
export interface EntryRow {
  readonly path: ByteString
  readonly rows: BigInt64Array
  /** Among the entries that the rows are of. */
  readonly index: number
}

interface ReadDirectory {
  readonly directory: TreeDirectory
  readonly parts: readonly (readonly TreeEntry[])[]
}

type Row = readonly [device: bigint, inode: bigint, ctimeNs: bigint, mtimeNs: bigint]

/** The clock that file times are taken from ticks at least this often; within a tick a file can change without a trace. */
const CLOCK_TICK_MS = 12
const CLOCK_POLL_MS = 1
const SETTLED_AFTER_NS = 100_000_000n

/** @param showsNames whether directories show in their change time that names came or went */
export function createLoadMemory(
  known: KnownTree,
  work: DirectoryHandle,
  isInPlace: boolean,
  showsNames: boolean,
): LoadMemory {
  const startedNs = BigInt(Date.now()) * 1_000_000n
  const device = fstatSync(work.fd, { bigint: true }).dev
  const directories = new Map<ByteString, ReadDirectory>()
  const listed = createListedDirectories(known, showsNames ? device : null)
  const untouched = new Map<ByteString, KnownDirectory>()
  const rows = new Map<readonly TreeEntry[], BigInt64Array>()
  const unsettled: EntryRow[] = []
  let lastChangeNs = 0n

  function rowsOf(part: readonly TreeEntry[]): BigInt64Array {
    let found = rows.get(part)
    if (found === undefined) rows.set(part, (found = new BigInt64Array(part.length * STATS_PER_ENTRY)))
    return found
  }

  function lookAgain(target: string): void {
    const cursor = createDirectoryCursor(toByteString(target))
    try {
      for (const place of unsettled) {
        const directory = cursor.open(parentOf(place.path))
        const stats = lstatSync(childPath(directory, nameOf(place.path)), { bigint: true })
        setRow(place, rowOf(stats))
        if (stats.ctimeNs > lastChangeNs) lastChangeNs = stats.ctimeNs
      }
    } catch {
      // Somebody works in the directory already; what was not looked at will be read.
    } finally {
      cursor.close()
    }
  }

  function knownDirectory({ path, node }: TreeDirectory): KnownDirectory | null {
    const directory = known.directories.get(path)
    return directory?.node === node ? directory : null
  }

  return {
    knownDirectory,
    listed,
    keepDirectory: (path, directory) => void untouched.set(path, directory),
    entriesOf: (directory) => knownDirectory(directory)?.entries ?? null,
    rowsOf,
    addDirectory: (directory, parts) => void directories.set(directory.path, { directory, parts }),
    hasContent(path, stats, runs) {
      const found = findKnown(known, path)
      if (found === null || found.entry.type !== 'file') return false
      return isRow(found.directory.stats, found.index, rowOf(stats)) && isSameContent(found.entry.runs, runs)
    },
    addKept(place, stats, isKnown) {
      if (isKnown || stats.ctimeNs < startedNs - SETTLED_AFTER_NS) setRow(place, rowOf(stats))
    },
    addWritten(place, file, { inode, ctimeNs, mtimeNs }) {
      if (isInPlace || file.hardLinkGroup !== 0n) {
        unsettled.push(place)
        return
      }
      setRow(place, [BigInt.asIntN(64, device), BigInt.asIntN(64, inode), ctimeNs, mtimeNs])
      if (ctimeNs > lastChangeNs) lastChangeNs = ctimeNs
    },
    addUnsettled: (place) => void unsettled.push(place),
    async conclude(target, record, locator) {
      lookAgain(target)
      // From here on nobody can abort.
      const slice = timeSlice()
      const built = new Map(untouched)
      for (const [path, each] of directories) {
        built.set(path, describe(known, rowsOf, each))
        const pause = slice.pauseWhenDue()
        if (pause !== undefined) await pause
      }
      listed.noteIn(built)
      known.directories.clear()
      for (const [path, directory] of built) known.directories.set(path, directory)
      known.root = record.root.node
      rememberPacks(known, record, locator)
      return lastChangeNs
    },
  }
}

/**
 * Whoever changes a file from here on gives it a later change time than it has now.
 * @param probe a directory of ours on the same file system, open; it may be removed already
 */
export async function waitForTick(probe: DirectoryHandle, lastChangeNs: bigint): Promise<void> {
  const waitsUntil = performance.now() + CLOCK_TICK_MS
  try {
    const { mode } = fstatSync(probe.fd)
    for (let look = 1; ; look += 1) {
      fchmodSync(probe.fd, mode & 0o7777)
      if (fstatSync(probe.fd, { bigint: true }).ctimeNs > lastChangeNs) return
      if (performance.now() >= waitsUntil) return
      // Where times are exact as soon as somebody has looked, the second look is later already.
      if (look > 1) await sleep(CLOCK_POLL_MS)
    }
  } catch {
    // A file system that lets nobody change what is removed (NFS) tells nothing.
    await sleep(Math.max(0, waitsUntil - performance.now()))
  }
}

function setRow({ rows, index }: EntryRow, row: Row): void {
  // A file system that counts no fractions of a millisecond is too coarse to tell two changes apart.
  if (row[2] % 1_000_000n === 0n) return
  const start = index * STATS_PER_ENTRY
  for (let column = 0; column < STATS_PER_ENTRY; column += 1) rows[start + column] = row[column] ?? 0n
}

/** With what is known of each file and link. A directory that is as it was stays the same object. */
function describe(
  known: KnownTree,
  rowsOf: LoadMemory['rowsOf'],
  { directory, parts }: ReadDirectory,
): KnownDirectory {
  const [first = [], ...others] = parts
  const entries = others.length === 0 ? first : parts.flat()
  const stats = others.length === 0 ? rowsOf(first) : joinRows(parts.map(rowsOf))
  let entriesBelow = 0
  let contentBytesBelow = 0
  for (const entry of entries) {
    entriesBelow += entry.type === 'directory' ? 1 + entry.entriesBelow : 1
    if (entry.type === 'file') contentBytesBelow += entry.size
    if (entry.type === 'directory') contentBytesBelow += entry.contentBytesBelow
  }
  const before = known.directories.get(directory.path)
  const isSame =
    before?.node === directory.node && before.stats.every((value, index) => value === stats[index])
  return isSame ? before : { node: directory.node, entries, stats, entriesBelow, contentBytesBelow }
}

function joinRows(parts: readonly BigInt64Array[]): BigInt64Array {
  const all = new BigInt64Array(parts.reduce((sum, part) => sum + part.length, 0))
  let filled = 0
  for (const part of parts) {
    all.set(part, filled)
    filled += part.length
  }
  return all
}

function rememberPacks(known: KnownTree, record: VersionRecord, locator: ChunkLocator): void {
  const references = new Map(record.packs.map((reference) => [reference.id, reference]))
  forgetPacks(known, new Set(references.keys()))
  for (const index of locator.openPacks()) {
    const reference = references.get(index.packId)
    if (reference === undefined || known.packs.has(index.packId)) continue
    known.packs.set(index.packId, reference)
    for (let position = 0; position < index.chunkCount; position += 1) {
      known.chunkPacks.set(index.chunkAt(position).id, index.packId)
    }
  }
}

function findKnown(
  known: KnownTree,
  path: ByteString,
): { directory: KnownDirectory; index: number; entry: TreeEntry } | null {
  const directory = known.directories.get(parentOf(path))
  if (directory === undefined) return null
  const index = findIndex(directory.entries, nameOf(path))
  const entry = directory.entries[index]
  return entry === undefined ? null : { directory, index, entry }
}

function rowOf(stats: BigIntStats): Row {
  return [BigInt.asIntN(64, stats.dev), BigInt.asIntN(64, stats.ino), stats.ctimeNs, stats.mtimeNs]
}

function isRow(stats: BigInt64Array, index: number, row: Row): boolean {
  return row.every((value, column) => stats[index * STATS_PER_ENTRY + column] === value)
}

function isSameContent(left: readonly Run[], right: readonly Run[]): boolean {
  if (left === right) return true
  if (left.length !== right.length) return false
  return left.every((run, index) => {
    const other = right[index]
    return run.kind === other?.kind && run.id === other.id && run.length === other.length
  })
}
