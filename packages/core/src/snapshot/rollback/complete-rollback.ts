import { lstatSync, readdirSync } from 'node:fs'
import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { toWorkspaceError } from '../../filesystem/filesystem-error.ts'
import { compareBytes, pathResolver, toBytePath } from '../byte-path.ts'
import type { RollbackRecovery, Snapshot } from '../snapshot.ts'
import { applyRollback } from './apply-rollback.ts'
import { captureOpened } from './capture-opened.ts'
import { checkPlaces } from './check-places.ts'
import { adviseAccess, closedIn } from './explain-closed.ts'
import { findFaults } from './find-faults.ts'
import { listPaths, shownPath } from './list-paths.ts'
import type { MergedFile } from './merge-foreign-edits.ts'
import { ownerAccess, type OwnerAccess } from './owner-access.ts'
import { planRollback, type PresentPaths } from './plan-rollback.ts'
import {
  changedPaths,
  closeJournal,
  freeRoom,
  readJournal,
  sweepHalfWritten,
  takeRecovery,
  type RollbackJournal,
} from './rollback-journal.ts'
import {
  leafOf,
  type Delta,
  type PresentState,
  type RollbackSource,
  type RollbackState,
} from './rollback-source.ts'
import { stageContent } from './stage-content.ts'

const RETURN_ATTEMPTS = 6

/**
 * Ends what a killed rollback began: with the target if that can be, else with the state before. What somebody changed
 * since then is neither, and stays. Call it under the workspace's lock, before anything is captured.
 * @returns `null` when there was none, nor one that has been ended and not told of yet
 * @throws `CONFLICT` and the like when neither works for now: nothing is captured in between, and the next call tries
 * again; `CORRUPT` when neither ever will, once: the next call takes the directory as it is
 */
export async function recoverRollback(source: RollbackSource): Promise<RollbackRecovery | null> {
  const journal = readJournal(source)
  const access = ownerAccess(source)
  try {
    if (journal === null) return takeRecovery(source)
    freeRoom(source)
    return await endRollback(source, access, journal)
  } finally {
    access.close()
  }
}

async function endRollback(
  source: RollbackSource,
  access: OwnerAccess,
  journal: RollbackJournal,
): Promise<RollbackRecovery> {
  const { target, guard, direction } = journal
  const failures: unknown[] = []
  for (const outcome of direction === 'forward' ? (['forward', 'back'] as const) : (['back'] as const)) {
    try {
      const kept = await bringTo(
        source,
        access,
        { ...journal, direction: outcome },
        { keepsLaterEdits: true },
      )
      closeJournal(source)
      return { outcome, target, guard, kept: kept.map(shownPath) }
    } catch (error) {
      failures.push(error)
    }
  }
  const isLost = failures.every(
    (error) => WorkspaceError.is(error, 'NOT_FOUND') || WorkspaceError.is(error, 'CORRUPT'),
  )
  if (isLost) closeJournal(source)
  throw unrecovered(source.path, failures, isLost)
}

/**
 * Brings the state before a failed rollback back. Somebody who keeps writing to some paths does not keep it from the
 * others.
 * @throws when even that fails, or those paths are left: `CONFLICT` if somebody was at it, `QUOTA_EXCEEDED` if the disk is
 * full, else `INTERNAL`; the guard is in the details
 */
export async function turnBack(
  source: RollbackSource,
  access: OwnerAccess,
  journal: RollbackJournal,
  reason: unknown,
): Promise<void> {
  const restless = new Set<ByteString>()
  let failure: unknown = null
  for (let attempt = 1; attempt <= RETURN_ATTEMPTS; attempt += 1) {
    try {
      await bringTo(source, access, { ...journal, direction: 'back' }, { keepsLaterEdits: false, restless })
      if (restless.size === 0) return
      break
    } catch (error) {
      failure = error
      if (!WorkspaceError.is(error, 'CONFLICT')) break
      // Whoever was there by chance is gone the next time.
      if (attempt > 1) for (const path of pathsOf(error)) restless.add(path)
    }
  }
  const paths = [...restless].toSorted(compareBytes).map(shownPath)
  const isBusy = WorkspaceError.is(failure, 'CONFLICT')
  const full = toWorkspaceError(failure, 'keep what a rollback needs in', source.journalDirectory)
  const isFull = WorkspaceError.is(full, 'QUOTA_EXCEEDED')
  const writers = isBusy && paths.length > 0 ? ` Stop what writes to ${listPaths(paths)}.` : ''
  const advice = isFull ? ` Free some space first: ${full.message}` : writers
  throw new WorkspaceError(
    isBusy ? 'CONFLICT' : isFull ? 'QUOTA_EXCEEDED' : 'INTERNAL',
    `The rollback of ${source.path} failed, and so did the return to the state before it. That state is kept as snapshot ${journal.guard.id}; the next snapshot or rollback tries the return again.${advice}`,
    {
      cause: new AggregateError([reason, failure]),
      details: {
        path: source.path,
        guard: journal.guard.id,
        guardRef: journal.guard.ref,
        ...(isBusy && { paths }),
      },
    },
  )
}

function pathsOf({ details }: WorkspaceError): ByteString[] {
  const paths = Array.isArray(details['paths']) ? (details['paths'] as string[]) : []
  return paths.map((path) => (path === '.' ? '' : toBytePath(path)))
}

interface Manner {
  readonly keepsLaterEdits: boolean
  /** Paths to leave as they are. @default none */
  readonly restless?: ReadonlySet<ByteString>
}

/** @returns paths that were left as they are */
async function bringTo(
  source: RollbackSource,
  access: OwnerAccess,
  journal: RollbackJournal,
  { keepsLaterEdits, restless = new Set() }: Manner,
): Promise<ByteString[]> {
  const { direction, prefix } = journal
  const [goalSnapshot, otherSnapshot]: [Snapshot, Snapshot] =
    direction === 'forward' ? [journal.target, journal.guard] : [journal.guard, journal.target]
  sweepHalfWritten(source, journal)
  const goal = await source.open(goalSnapshot)
  const other = await source.open(otherSnapshot)
  // What it finds that is of neither state is about to go, so that this capture is a guard of its own.
  const label = keepsLaterEdits ? 'rollback_recovery' : 'rollback_guard'
  const written = journal.touched
  const now = await captureOpened(source, access, { label, goal, inView: [goal, other], written })
  const touched = new Set(journal.touched)
  const merged = direction === 'forward' ? journal.merged : new Map<ByteString, MergedFile>()
  const isTouched = (path: ByteString): boolean => touched.has(path)
  const open = (await source.compare(now, goal))
    .filter(({ path, after }) => touched.has(path) && !(after === null && goal.isLeftOut(path)))
    .map((delta) => (goal.isUnread(delta.path) ? withModeOnly(delta) : delta))
  const ours = await findOurs(source, now, other, journal)
  const deltas: Delta[] = []
  const kept = new Set(restless)
  for (const delta of open) {
    if (restless.has(delta.path)) continue
    if (await isMade(source, now, delta, merged.get(delta.path))) continue
    if (keepsLaterEdits && leafOf(delta.before) !== null && !(await ours(delta))) kept.add(delta.path)
    else deltas.push(delta)
  }
  const present = presentPathsIn(source.path, [now, goal])
  const plan = planRollback(deltas, merged, present)
  const staged = await stageContent(source, goal, plan)
  await checkPlaces(source.path, plan, now)
  const prepared = journal.restoresGit
    ? await source.repository?.prepare(goalSnapshot, journal.guard.id)
    : undefined
  access.release(changedPaths(plan))
  await applyRollback(source.path, plan, staged, { prefix })
  const reached = await captureOpened(source, access, {
    label: 'rollback_check',
    goal,
    inView: [goal, other],
    written,
  })
  const { faults } = await findFaults(source, reached, {
    goal,
    guard: now,
    isInScope: isTouched,
    kept,
    merged,
    isEmptyNow: present.isEmptyNow,
  })
  if (faults.length > 0) throw unproven(faults, reached)
  await prepared?.restore()
  return [...kept].toSorted(compareBytes)
}

/** Whether a path holds what one of the two states has there, or what the rollback merged: then nobody was at it since. */
async function findOurs(
  source: RollbackSource,
  now: PresentState,
  other: RollbackState,
  { merged }: RollbackJournal,
): Promise<(delta: Delta) => Promise<boolean>> {
  const unlikeOther = new Set((await source.compare(now, other)).map(({ path }) => path))
  return async (delta) =>
    !unlikeOther.has(delta.path) || (await isMade(source, now, delta, merged.get(delta.path)))
}

async function isMade(
  source: RollbackSource,
  now: PresentState,
  { path, before }: Delta,
  merged: MergedFile | undefined,
): Promise<boolean> {
  const entry = leafOf(before)
  if (merged === undefined || entry === null || entry.mode !== merged.mode) return false
  return source.holds(now, { path, entry }, merged.content)
}

/** The state could not read this file, so that it knows its mode and not its content. */
function withModeOnly(delta: Delta): Delta {
  return leafOf(delta.before) === null || leafOf(delta.after) === null
    ? delta
    : { ...delta, hasSameContent: true }
}

/** @param states where one of them could not read a file, there is nothing to write it anew from, and its mode alone goes back */
export function presentPathsIn(root: string, states: readonly RollbackState[]): PresentPaths {
  const resolve = pathResolver(root)
  return {
    isEmptyNow(path) {
      try {
        return readdirSync(resolve(path)).length === 0
      } catch {
        return false
      }
    },
    hasOtherNames(path) {
      if (states.some((state) => state.isUnread(path))) return false
      try {
        return lstatSync(resolve(path)).nlink > 1
      } catch {
        return false
      }
    },
  }
}

export function unproven(faults: readonly ByteString[], reached: PresentState): WorkspaceError {
  const isClosed = closedIn(reached)
  const closed = faults.filter(isClosed)
  const paths = (closed.length > 0 ? closed : faults).map(shownPath)
  const reason =
    closed.length > 0
      ? `could not be read. ${adviseAccess(paths)}`
      : 'did not equal the target. Stop what writes there, then roll back again.'
  return new WorkspaceError('CONFLICT', `The rollback was undone: afterwards ${listPaths(paths)} ${reason}`, {
    details: { paths },
  })
}

function unrecovered(path: string, failures: readonly unknown[], isLost: boolean): WorkspaceError {
  const first = failures.find((error) => WorkspaceError.is(error))
  const advice = isLost
    ? 'What it needs is gone from the state directory, so the directory is taken as it is from now on.'
    : 'Correct what it names, then try again; until then no snapshot is taken of a directory in between.'
  const reason = first === undefined ? String(failures[0]) : first.message
  return new WorkspaceError(
    isLost ? 'CORRUPT' : (first?.code ?? 'INTERNAL'),
    `A rollback of ${path} was killed on its way and could not be completed or undone: ${reason} ${advice}`,
    { cause: new AggregateError(failures), details: { path, ...first?.details } },
  )
}
