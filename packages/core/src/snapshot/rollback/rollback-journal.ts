import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createDirectoryCursor } from '../../filesystem/directory-cursor.ts'
import { childPath, openRealRoot, toFilePath, type ByteString } from '../../filesystem/directory-handle.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { parentOf, toBytePath } from '../byte-path.ts'
import { replaceFile } from '../hash/replace-file.ts'
import type { RollbackRecovery, Snapshot } from '../snapshot.ts'
import type { MergedFile } from './merge-foreign-edits.ts'
import { notesPath } from './owner-access.ts'
import type { RollbackPlan } from './plan-rollback.ts'
import type { RollbackSource } from './rollback-source.ts'

/** What a rollback is about to do, written down before its first step, for the case that this process is killed. */
export interface RollbackJournal {
  readonly target: Snapshot
  readonly guard: Snapshot
  readonly direction: 'forward' | 'back'
  /** What the names of half-written files begin with: random, so that nothing else has such a name. */
  readonly prefix: string
  /** Where they are, and which directories may have been opened for writing. */
  readonly parents: readonly ByteString[]
  /** Nothing else is touched, whichever way it ends. */
  readonly touched: readonly ByteString[]
  readonly merged: ReadonlyMap<ByteString, MergedFile>
  /** Whether HEAD, the branch, the index and the stash are part of it. */
  readonly restoresGit: boolean
}

type Place = Pick<RollbackSource, 'path' | 'journalDirectory'>
type JournalPlace = Pick<Place, 'journalDirectory'>

export function makeJournal(
  target: Snapshot,
  guard: Snapshot,
  plan: RollbackPlan,
  merged: ReadonlyMap<ByteString, MergedFile>,
  restoresGit: boolean,
): RollbackJournal {
  const changed = changedPaths(plan)
  const inPlace = new Set(plan.modeChanges.map(({ path }) => path))
  const parents = [...new Set(changed.filter((path) => !inPlace.has(path)).map(parentOf))]
  const touched = [...new Set([...changed, ...parents])]
  const prefix = `.ws-rollback-${randomBytes(8).toString('hex')}-`
  return { target, guard, direction: 'forward', prefix, parents, touched, merged, restoresGit }
}

/** What a plan writes, removes or gives other permissions. */
export function changedPaths({ removals, directories, writes, modeChanges }: RollbackPlan): ByteString[] {
  return [...removals, ...directories, ...writes, ...modeChanges].map(({ path }) => path)
}

/**
 * Whole or not at all, as far as a process can die. Beside it goes what {@link freeRoom} makes room with: what fails
 * because the disk is full must be able to capture on its way back.
 */
export function writeJournal(place: Place, journal: RollbackJournal): void {
  try {
    rmSync(turnedPath(place), { force: true })
    mkdirSync(mergedDirectory(place), { recursive: true, mode: 0o700 })
    const merged: [ByteString, number, string][] = []
    for (const [index, [path, { mode, content }]] of [...journal.merged].entries()) {
      const name = `${index}`
      writeFileSync(join(mergedDirectory(place), name), content, { mode: 0o600 })
      merged.push([path, mode, name])
    }
    writeFileSync(roomPath(place), Buffer.alloc(ROOM_BYTES + journal.touched.length * ROOM_BYTES_EACH))
    replaceFile(journalPath(place), Buffer.from(JSON.stringify({ format: FORMAT, ...journal, merged })))
  } catch (error) {
    closeJournal(place)
    throw error
  }
}

export function freeRoom(place: Place): void {
  rmSync(roomPath(place), { force: true })
}

/** From now on the rollback ends with the state before it. Takes no room, as the disk may be full. */
export function turnJournal(place: Place): void {
  freeRoom(place)
  renameSync(journalPath(place), turnedPath(place))
}

/** @returns `null` when no rollback was interrupted */
export function readJournal(place: JournalPlace): RollbackJournal | null {
  const turned = readIfThere(turnedPath(place))
  const text = turned ?? readIfThere(journalPath(place))
  if (text === null) return null
  try {
    const stored = JSON.parse(text) as Omit<RollbackJournal, 'merged'> & {
      format: number
      merged: [ByteString, number, string][]
    }
    if (stored.format !== FORMAT || !/^\.ws-rollback-[0-9a-f]{16}-$/.test(stored.prefix)) return null
    const merged = stored.merged.map(([path, mode, name]): [ByteString, MergedFile] => [
      path,
      { mode, content: readFileSync(join(mergedDirectory(place), name.replace(/\D/g, ''))) },
    ])
    return { ...stored, ...(turned !== null && { direction: 'back' }), merged: new Map(merged) }
  } catch {
    // Only a power failure damages it. A snapshot of the state before is still there.
    return null
  }
}

/** Whether a rollback goes on, or was killed. */
export function isRollbackBegun(place: JournalPlace): boolean {
  return [journalPath(place), turnedPath(place), notesPath(place)].some((path) => existsSync(path))
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

export function closeJournal(place: JournalPlace): void {
  for (const path of [journalPath(place), turnedPath(place), roomPath(place)]) rmSync(path, { force: true })
  rmSync(mergedDirectory(place), { recursive: true, force: true })
}

/** For {@link takeRecovery}, by whoever cannot tell how a killed rollback ended. */
export function noteRecovery(place: JournalPlace, recovery: RollbackRecovery): void {
  replaceFile(endedPath(place), Buffer.from(JSON.stringify(recovery)))
}

/** How a rollback ended that nobody has been told of yet. @returns `null` when there is none */
export function takeRecovery(place: JournalPlace): RollbackRecovery | null {
  const text = readIfThere(endedPath(place))
  if (text === null) return null
  rmSync(endedPath(place), { force: true })
  try {
    return JSON.parse(text) as RollbackRecovery
  } catch {
    // Only a power failure damages it.
    return null
  }
}

/** Removes the files that were being written. */
export function sweepHalfWritten(place: Place, { prefix, parents }: RollbackJournal): void {
  const cursor = createDirectoryCursor(toBytePath(place.path), openRealRoot)
  try {
    for (const parent of parents) {
      try {
        const handle = cursor.open(parent)
        for (const name of readdirSync(toFilePath(handle.base), { encoding: 'latin1' }))
          if (name.startsWith(prefix)) unlinkSync(childPath(handle, name))
      } catch (error) {
        if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'].includes(errnoOf(error) ?? '')) throw error
      }
    }
  } finally {
    cursor.close()
  }
}

const FORMAT = 1
const ROOM_BYTES = 256 * 1024
/** For what a capture writes down of a path. */
const ROOM_BYTES_EACH = 512

function journalPath(place: JournalPlace): string {
  return join(place.journalDirectory, 'rollback')
}

function turnedPath(place: JournalPlace): string {
  return join(place.journalDirectory, 'rollback-turned')
}

function roomPath(place: JournalPlace): string {
  return join(place.journalDirectory, 'rollback-room')
}

function mergedDirectory(place: JournalPlace): string {
  return join(place.journalDirectory, 'rollback-merged')
}

function endedPath(place: JournalPlace): string {
  return join(place.journalDirectory, 'rollback-ended')
}
