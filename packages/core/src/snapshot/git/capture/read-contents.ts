import type { GrowingEntries } from '../table/changed-entries.ts'
import type { EntryTable } from '../table/entry-table.ts'
import type { FilledLimits } from '../../capture-policy.ts'
import { compareBytes, parentOf, pathResolver, type BytePath } from '../../byte-path.ts'
import {
  isLink,
  isSameStamp,
  lstatIfAllowed,
  stampOf,
  type CapturedEntry,
  type FileStamp,
} from '../table/file-stamp.ts'
import type { CaptureState, LeftOutFile } from './capture-state.ts'
import { type CaptureStateFile } from './capture-state-file.ts'
import type { Look } from '../walk/start-look.ts'
import { type WorkspaceListing } from './list-workspace.ts'
import type { NestedRepository } from '../user/nested-repository.ts'
import type { OmittedPath } from '../private/omitted-paths.ts'
import type { Pause } from '../table/pause.ts'
import { adoptBorrowed } from './adopt-borrowed.ts'
import type { BuiltTrees } from '../private/build-trees.ts'
import { findKnown } from './find-known.ts'
import type { OwnObjects } from '../private/own-objects.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import { chooseOverLimits, type FileToRead, type LimitReason } from './choose-within-limits.ts'
import type { PreciousRules } from '../../precious-rules.ts'
import type { SnapshotProgressListener } from '../../snapshot-progress.ts'
import type { PathSet } from '../table/sorted-paths.ts'
import type { FirstCapture } from './start-first.ts'
import { kindOf, readEntry } from './read-entry.ts'
import { realDirectoriesOf } from './real-directories.ts'
import type { TrackedFiles } from '../user/tracked-files.ts'
import type { UserRepository } from '../user/repository-layout.ts'

export interface GitWorkspace {
  /** Real path. */
  readonly path: string
  readonly user: UserRepository
  readonly own: PrivateRepository
  readonly stateFile: CaptureStateFile
  readonly precious: PreciousRules
  readonly limits: FilledLimits
}

/** One capture in progress. */
export interface Capture extends GitWorkspace {
  readonly last: CaptureState | null
  /** Whether there is no snapshot yet. Of an earlier one the state may be lost. */
  readonly isFirst: boolean
  /** At what the last capture holds; `null` without one. */
  readonly look: Look | null
  readonly listing: WorkspaceListing
  /** Other repositories in the workspace. */
  readonly nested: readonly NestedRepository[]
  readonly tracked: TrackedFiles | null
  /** Directories that nothing lists and that stay in view, with their permission bits. */
  readonly keptDirectories: ReadonlyMap<BytePath, number>
  /** What might have been such a directory. */
  readonly absentDirectories: readonly BytePath[]
  /** `null` at every other, and where only git can read the index. */
  readonly first: FirstCapture | null
  /** Objects that need not be stored, because they are. */
  readonly held: ReadonlySet<string>
  /** Files that no limit leaves out. */
  readonly written: ReadonlySet<BytePath>
  /** Permissions that count in the place of those on the disk. */
  readonly modes: ReadonlyMap<BytePath, number> | undefined
  /** What an earlier capture says of a path that cannot be read now. */
  readonly recall: (path: BytePath) => Promise<RecalledEntry | undefined>
  readonly pause: Pause
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

export type RecalledEntry = Pick<CapturedEntry, 'id' | 'mode'> & Partial<CapturedEntry>

export interface Contents {
  readonly entries: EntryTable
  /** Paths whose entry may differ from the last capture's; `null` when any may. */
  readonly touched: readonly BytePath[] | null
  readonly omitted: readonly OmittedPath[]
  /** Paths that cannot be read, but were captured before: they stay in view as they were. */
  readonly unread: ReadonlySet<BytePath>
  readonly unstable: ReadonlySet<BytePath>
  /** New files that are over a limit. */
  readonly leftOut: ReadonlyMap<BytePath, LeftOutFile>
  /** Trees that have been built already, and all paths that are not as they have them. */
  readonly built: { readonly trees: BuiltTrees; readonly unlike: readonly BytePath[] } | null
  /** What the private repository has, at least. */
  readonly held: OwnObjects | null
}

/** Read, hashed and compressed in the time of a look at a file. */
const BYTES_WORTH_A_LOOK = 4096

interface Reading {
  readonly entries: GrowingEntries
  readonly omitted: OmittedPath[]
  readonly unread: Set<BytePath>
  readonly unstable: Set<BytePath>
  readonly leftOut: Map<BytePath, LeftOutFile>
  /** Read entries whose blobs are, so far, only in the user's repository. */
  readonly readBorrowed: Map<BytePath, CapturedEntry>
}

/**
 * All paths to look at, sorted; `null` when they are those of the last capture. Unlisted ones count only where no link
 * leads to another place.
 */
export async function chooseCandidates(
  capture: Pick<Capture, 'path' | 'last' | 'listing' | 'pause'>,
  extra: readonly BytePath[],
): Promise<readonly BytePath[] | null> {
  const { last, listing } = capture
  if (last !== null && listing.listed === last.listed && last.isAsListed && extra.length === 0) return null
  const isRealDirectory = realDirectoriesOf(capture)
  const added = new Set<BytePath>()
  for (const path of extra) {
    await capture.pause()
    if (isRealDirectory(parentOf(path))) added.add(path)
  }
  const listed = listing.listed()
  const all = () => (added.size === 0 ? listOf(listed) : [...listed.keys(), ...added].toSorted(compareBytes))
  if (last === null) return all()
  const known = last.entries
  const isKnown = (path: BytePath) => known.has(path) || last.leftOut.has(path)
  const isAsBefore =
    known.size + last.leftOut.size === listed.size + added.size &&
    every(listed, isKnown) &&
    every(added, isKnown)
  return isAsBefore ? null : all()
}

/** Itself, where it is one: whoever compares it with another one sees at once that they are the same. */
function listOf(paths: PathSet): readonly BytePath[] {
  const keys = paths.keys()
  return Array.isArray(keys) ? keys : [...keys]
}

function every(paths: PathSet, holds: (path: BytePath) => boolean): boolean {
  for (const path of paths.keys()) if (!holds(path)) return false
  return true
}

/** All paths of the last capture that may not be now what they were then. */
export async function findChanged({ path: root, last, look, limits, pause }: Capture): Promise<BytePath[]> {
  if (last === null || look === null) return []
  const { entries, leftOut } = last
  const resolve = pathResolver(root)
  const rows = await look.changedRows(pause)
  const paths = entries.paths()
  const changed = rows.map((row) => paths[row] ?? '')
  const isSameLimits = last.limitsKey === limitsKey(limits)
  for (const [path, file] of leftOut)
    if (!isSameLimits || !isSameFile(file, lstatIfAllowed(resolve(path)))) changed.push(path)
  return changed
}

function isSameFile(file: LeftOutFile, stats: ReturnType<typeof lstatIfAllowed>): boolean {
  return stats !== null && stats !== 'denied' && stats.isFile() && file.size === Number(stats.size)
}

/** @param candidates what {@link chooseCandidates} says @param changed what {@link findChanged} says */
export async function readContents(
  capture: Capture,
  candidates: readonly BytePath[] | null,
  changed: readonly BytePath[],
): Promise<Contents> {
  const known = await findKnown(capture, candidates, changed)
  const reading: Reading = {
    entries: known.entries,
    omitted: [],
    unread: new Set(),
    unstable: new Set(),
    leftOut: new Map(candidates === null ? capture.last?.leftOut : []),
    readBorrowed: new Map(),
  }
  await readMovedAgain(capture, reading, await readWithinLimits(capture, reading, known.toRead))
  const withoutIndex: Capture = { ...capture, last: null, tracked: null }
  for (const path of await adoptBorrowed(capture, { ...known, read: reading.readBorrowed }))
    await readInto(withoutIndex, reading, path)
  const { believed, entries, touched } = known
  const built = believed && {
    trees: believed.ahead.trees,
    unlike: [...entries.changed(), ...believed.unlikeIndex],
  }
  return { ...reading, entries: known.toTable(), touched, built, held: believed?.ahead.held ?? null }
}

/** @returns the paths that were read */
async function readWithinLimits(
  capture: Capture,
  reading: Reading,
  files: readonly FileToRead[],
): Promise<BytePath[]> {
  const leftOut = new Set<BytePath>()
  for (const [path, { reason }] of capture.last?.leftOut ?? [])
    if (reason === 'over-total' && capture.last?.limitsKey === limitsKey(capture.limits)) leftOut.add(path)
  const limited = files.filter(({ path }) => !capture.written.has(path))
  const over = chooseOverLimits(limited, capture.limits, leftOut)
  const read: BytePath[] = []
  let filesDone = 0
  let bytesDone = 0
  const report = (): void =>
    capture.onProgress?.({ phase: 'read', filesDone, filesExpected: files.length, bytesDone })
  if (files.length > 0) report()
  for (const { path, size } of files) {
    const pausing = capture.pause(1 + Math.floor(size / BYTES_WORTH_A_LOOK))
    if (pausing !== undefined) await pausing
    const reason = over.get(path)
    reading.leftOut.delete(path)
    if (reason === undefined) {
      await readInto(capture, reading, path)
      read.push(path)
      bytesDone += size
    } else {
      await keepUnread(capture, reading, path, reason)
      if (!reading.entries.has(path)) reading.leftOut.set(path, { reason, size })
    }
    filesDone += 1
    report()
  }
  return read
}

export function limitsKey(limits: FilledLimits): string {
  return JSON.stringify(limits)
}

/** What is there but cannot be read, or is over a limit, has not been deleted: it stays as it was, and is reported. */
async function keepUnread(
  capture: Capture,
  reading: Reading,
  path: BytePath,
  reason: LimitReason | 'unreadable',
): Promise<void> {
  if (reading.unread.has(path)) return
  reading.omitted.push({ path, reason })
  const known = await capture.recall(path)
  const stats = lstatIfAllowed(pathResolver(capture.path)(path))
  const isFile =
    stats === 'denied' || (stats !== null && kindOf(stats) === 'file' && !isLink(known?.mode ?? 0))
  if (known === undefined || !isFile) {
    reading.entries.delete(path)
    return
  }
  reading.unread.add(path)
  const none: FileStamp = { mode: known.mode, size: 0, inode: 0n, mtimeNs: 0n, ctimeNs: 0n }
  const stamp = stats === 'denied' ? none : stampOf(stats)
  reading.entries.set(path, { ...stamp, id: known.id, settled: false })
}

/** What moved after it was read is read once more, and marked. */
async function readMovedAgain(capture: Capture, contents: Reading, read: readonly BytePath[]): Promise<void> {
  const resolve = pathResolver(capture.path)
  for (const path of read) {
    await capture.pause()
    const entry = contents.entries.get(path)
    const stats = lstatIfAllowed(resolve(path))
    if (entry === undefined || (stats !== null && stats !== 'denied' && isSameStamp(entry, stampOf(stats))))
      continue
    await readInto(capture, contents, path)
    contents.unstable.add(path)
  }
}

async function readInto(capture: Capture, contents: Reading, path: BytePath): Promise<void> {
  const known = capture.last?.entries.get(path)?.id
  const tracked = capture.tracked?.entries.get(path)?.id
  const reading = await readEntry(
    capture,
    path,
    (id) => id === known || id === tracked || capture.held.has(id),
  )
  if (reading.kind === 'read') {
    contents.entries.set(path, reading.entry)
    if (!reading.isStable) contents.unstable.add(path)
    if (reading.entry.id === tracked && tracked !== known) contents.readBorrowed.set(path, reading.entry)
    return
  }
  if (reading.kind === 'unreadable') {
    await keepUnread(capture, contents, path, 'unreadable')
    return
  }
  contents.entries.delete(path)
  if (reading.kind === 'special-file') contents.omitted.push({ path, reason: reading.kind })
}
