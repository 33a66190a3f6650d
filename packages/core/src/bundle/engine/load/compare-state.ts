import { fstatSync, lstatSync, type BigIntStats } from 'node:fs'
import { WorkspaceError } from '../../../errors.ts'
import {
  childPath,
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { canEmpty, unremovable } from '../../../filesystem/find-unremovable.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { FileEntry } from '../../format/tree-node.ts'
import type { ContentCheck } from './check-file.ts'
import type { EntryRow, LoadMemory } from './load-memory.ts'
import { joinPath } from '../known/known-tree.ts'
import type { LeftNotes } from './left-notes.ts'
import { foundEntry, type DirectoryPlan, type LoadPlan } from './load-plan.ts'
import type { OpenedDirectories } from './opened-directories.ts'
import type { StagedEntry } from './stage-state.ts'
import type { TreeStage } from './stage-tree.ts'
import type { TreeReader } from '../read/tree-reader.ts'
import { isReadable, unreadable } from './unreadable.ts'

export interface CompareContext {
  /** Real path of the directory that is compared. */
  readonly target: ByteString
  readonly mode: 'exact' | 'merge'
  readonly tree: TreeReader
  readonly stage: TreeStage
  readonly plan: LoadPlan
  readonly memory: LoadMemory
  readonly content: ContentCheck
  readonly slice: TimeSlice
  readonly tally: CompareTally
  readonly left: LeftNotes
  readonly opened: OpenedDirectories
  readonly onProgress: () => void
}

interface CompareTally {
  readonly deleted: FileCount
  readonly kept: FileCount
  readonly verified: FileCount
}

export interface FileCount {
  files: number
  bytes: number
}

export interface CompareState {
  readonly context: CompareContext
  /** Names of hard-linked files, by group: all of a group stay, or all are made anew. */
  readonly groups: Map<bigint, GroupMember[]>
  /** Inodes of files with several names, by the group that has them in the version; `null`: a file of one name. */
  readonly inodes: Map<bigint, bigint | null>
}

export interface GroupMember {
  readonly place: Place
  readonly entry: FileEntry
  readonly stats: BigIntStats | null
  readonly isSame: boolean
}

export interface Place extends EntryRow {
  readonly directory: DirectoryPlan
  readonly name: ByteString
}

/** Notes that something new comes to a place, and whatever is there goes. @returns its number */
export async function replace(
  state: CompareState,
  place: Place,
  stats: BigIntStats | null,
  open: DirectoryHandle,
): Promise<number> {
  if (stats?.isDirectory() === true) return comes(state, place, await makeRoom(state, place, open))
  if (stats !== null && !isReadable(open, place.name, stats)) throw unreadable(place.path)
  return comes(state, place, stats)
}

export function comes({ context }: CompareState, place: Place, stats: BigIntStats | null): number {
  const number = context.plan.nextNumber()
  const goes = stats === null ? null : foundEntry(stats)
  place.directory.entries.push({ name: place.name, number, goes, comes: true })
  return number
}

/** @returns the directory that goes, as it is now @throws `CONFLICT` where something has to stay */
export async function makeRoom(
  { context }: CompareState,
  place: Place,
  open: DirectoryHandle,
): Promise<BigIntStats> {
  const inside = context.opened.open(open, place.path)
  if (inside === null) throw unreadable(place.path)
  try {
    if (isClosedOver(context, inside, place.path)) throw unreadable(place.path)
    if (context.mode === 'merge' && listDirectory(inside).length > 0) {
      throw occupied(place.path, 'a directory that is not empty is there', true)
    }
    const staying = await surveyBelow(context, inside, place.path, context.tally.deleted)
    if (staying !== null)
      throw occupied(
        place.path,
        `it holds ${JSON.stringify(pathText(staying))}, which a load leaves alone`,
        false,
      )
    return fstatSync(inside.fd, { bigint: true })
  } finally {
    closeDirectory(inside)
  }
}

/** Whether a directory held something that could not be looked at before it was opened up. */
export function isClosedOver(
  { opened }: Pick<CompareContext, 'opened'>,
  handle: DirectoryHandle,
  path: ByteString,
): boolean {
  return opened.closedMode(path) !== null && listDirectory(handle).length > 0
}

/**
 * Counts what goes with a directory. @returns the first path below that has to stay, `null` when all may go
 * @throws `ACCESS_DENIED` when all may go, but for this user
 */
export async function surveyBelow(
  context: Pick<CompareContext, 'left' | 'slice' | 'opened'>,
  handle: DirectoryHandle,
  path: ByteString,
  total: FileCount,
): Promise<ByteString | null> {
  const entries = listDirectory(handle)
  for (const { name } of entries) {
    const pause = context.slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const stats = lstatOrNull(handle, name)
    if (stats === null) continue
    const below = joinPath(path, name)
    if (context.left.reasonFor(below, stats) !== null) return below
    if (!stats.isDirectory()) {
      if (!isReadable(handle, name, stats)) return below
      countFile(total, Number(stats.size))
      continue
    }
    const inside = context.opened.open(handle, below)
    if (inside === null) return below
    try {
      if (isClosedOver(context, inside, below)) return below
      const staying = await surveyBelow(context, inside, below, total)
      if (staying !== null) return staying
    } finally {
      closeDirectory(inside)
    }
  }
  // Told when the new content is in its place, it would come too late.
  if (entries.length > 0 && !canEmpty(handle)) throw unremovable('load', path)
  return null
}

export function countFile(total: FileCount, bytes: number): void {
  total.files += 1
  total.bytes += bytes
}

export function stagedPlace({ path, rows, index }: Place, number: number): StagedEntry {
  return { directory: 0, name: String(number), path, rows, index }
}

export function lstatOrNull(directory: DirectoryHandle, name: ByteString): BigIntStats | null {
  return lstatSync(childPath(directory, name), { bigint: true, throwIfNoEntry: false }) ?? null
}

/** @param isRemovedExactly whether an exact load of everything would remove what is there */
export function occupied(path: ByteString, reason: string, isRemovedExactly: boolean): WorkspaceError {
  const remedy = isRemovedExactly ? 'Move it away, or load the whole directory exactly.' : 'Move it away.'
  const shown = pathText(path)
  return new WorkspaceError('CONFLICT', `Cannot load ${JSON.stringify(shown)}: ${reason}. ${remedy}`, {
    details: { path: shown },
  })
}
