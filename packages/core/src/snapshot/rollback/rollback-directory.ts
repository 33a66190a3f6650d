import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { compareBytes, parentOf } from '../byte-path.ts'
import type { RollbackOptions, RollbackResult } from '../snapshot-backend.ts'
import { passProgress } from '../snapshot-progress.ts'
import type { Snapshot } from '../snapshot.ts'
import { applyRollback } from './apply-rollback.ts'
import { captureOpened } from './capture-opened.ts'
import { checkPlaces } from './check-places.ts'
import { presentPathsIn, recoverRollback, turnBack, unproven } from './complete-rollback.ts'
import { describeSteps } from './describe-steps.ts'
import { findFaults } from './find-faults.ts'
import { findUnmatched } from './find-unmatched.ts'
import { noForeignEdits, settleForeignEdits } from './foreign-edits.ts'
import { shownPath } from './list-paths.ts'
import { ownerAccess, type OwnerAccess } from './owner-access.ts'
import { planRollback } from './plan-rollback.ts'
import { changedPaths, closeJournal, makeJournal, turnJournal, writeJournal } from './rollback-journal.ts'
import { scopeOf } from './rollback-scope.ts'
import type { Delta, RollbackSource, RollbackState } from './rollback-source.ts'
import { stageContent } from './stage-content.ts'
import { tellingRecovery } from './with-recovery.ts'

/**
 * Under the workspace's lock: end what a killed rollback began, capture (the guard), compare with what the caller
 * expects, read what is to be written, look at every place that would be touched, write down what is about to happen,
 * apply the difference only, capture again and compare. Up to the first write nothing is touched; a failure after it
 * brings the guard's state back.
 */
export async function rollbackDirectory(
  source: RollbackSource,
  target: Snapshot,
  options: RollbackOptions,
): Promise<RollbackResult> {
  const { expected, signal } = options
  if (options.restoreGit === true) assertCanRestoreGit(source, target, options)
  const goal = await source.open(target, signal)
  const believed = expected === undefined ? null : await source.open(expected, signal)
  const isNamed = scopeOf(options.paths)
  const recovery = await recoverRollback(source)
  const access = ownerAccess(source)
  try {
    const request = { target, goal, believed, isNamed, recovery }
    return await tellingRecovery(recovery, () => rollBack(source, access, request, options))
  } finally {
    access.close()
  }
}

interface Request {
  readonly target: Snapshot
  readonly goal: RollbackState
  readonly believed: RollbackState | null
  readonly isNamed: (path: ByteString) => boolean
  readonly recovery: RollbackResult['recovery']
}

async function rollBack(
  source: RollbackSource,
  access: OwnerAccess,
  { target, goal, believed, isNamed, recovery }: Request,
  options: RollbackOptions,
): Promise<RollbackResult> {
  const { dryRun = false, onForeignEdits = 'refuse', signal } = options
  const onProgress = passProgress(options.onProgress)
  const inView = believed === null ? [goal] : [goal, believed]
  const guard = await captureOpened(source, access, {
    label: dryRun ? 'rollback_preview' : 'rollback_guard',
    goal,
    inView,
    isPassing: !dryRun,
    onProgress,
    signal,
  })
  const deltas = inScope(await source.compare(guard, goal, signal), goal, isNamed)
  const policy = { policy: onForeignEdits, opened: access.modes }
  const settled =
    believed === null
      ? noForeignEdits
      : await settleForeignEdits(source, { believed, guard, goal }, deltas, policy, signal)
  const { kept, merged } = settled
  const present = presentPathsIn(source.path, [guard])
  const { isEmptyNow } = present
  const plan = planRollback(
    deltas.filter(({ path }) => !kept.has(path)),
    merged,
    present,
  )
  const writes = dryRun ? [] : plan.writes
  const staged = await stageContent(source, goal, { writes }, { onProgress, signal })
  await checkPlaces(source.path, plan, guard, signal)
  const prepared =
    options.restoreGit === true ? await source.repository?.prepare(target, guard.snapshot.id) : undefined
  const steps = await describeSteps(source, deltas, plan, settled, signal)
  signal?.throwIfAborted()

  const result = {
    dryRun,
    targetRef: target.ref,
    restored: plan.restored.map(shownPath),
    deleted: plan.deleted.map(shownPath),
    kept: list(kept),
    merged: list(merged.keys()),
    unmatched: findUnmatched(source.path, options.paths, [goal, guard], deltas),
    steps,
    recovery,
    git: prepared?.report ?? null,
  }
  if (dryRun) return { ...result, appeared: [], guard: null, verified: false }
  const written = changedPaths(plan)
  const journal = makeJournal(target, guard.snapshot, plan, merged, prepared !== undefined)
  writeJournal(source, journal)
  let appeared: readonly ByteString[]
  try {
    access.release(written)
    await applyRollback(source.path, plan, staged, { prefix: journal.prefix, onProgress, signal })
    const reached = await captureOpened(source, access, {
      label: 'rollback_check',
      goal,
      inView: [goal, guard],
      written,
      onProgress,
    })
    const named = new Set(deltas.map(({ path }) => path))
    const isInScope = (path: ByteString): boolean => isNamed(path) || named.has(path)
    const findings = await findFaults(source, reached, { goal, guard, isInScope, kept, merged, isEmptyNow })
    if (findings.faults.length > 0) throw unproven(findings.faults, reached)
    appeared = findings.appeared
    await prepared?.restore()
  } catch (error) {
    turnJournal(source)
    await turnBack(source, access, journal, error)
    closeJournal(source)
    throw error
  }
  closeJournal(source)
  return { ...result, appeared: list(appeared), guard: guard.snapshot, verified: true }
}

function assertCanRestoreGit(source: RollbackSource, target: Snapshot, { paths }: RollbackOptions): void {
  const reason =
    source.repository === undefined
      ? `needs a snapshot by the git strategy, and ${target.id} is one by ${target.backend}`
      : paths !== undefined
        ? 'concerns the whole repository; leave paths out'
        : target.metadata.repository === undefined
          ? 'needs a snapshot of a whole work tree; this one is of a directory in it'
          : null
  if (reason === null) return
  throw new WorkspaceError('INVALID_INPUT', `restoreGit ${reason}. Nothing was changed.`, {
    details: { path: source.path },
  })
}

/** What the caller named, as far as the target says something about it; with the directories that this needs. */
function inScope(
  deltas: readonly Delta[],
  goal: RollbackState,
  isNamed: (path: ByteString) => boolean,
): Delta[] {
  const needed = new Set<ByteString>()
  for (const { path, after } of deltas) {
    if (after === null || !isNamed(path)) continue
    for (let parent = parentOf(path); parent !== '' && !needed.has(parent); parent = parentOf(parent))
      needed.add(parent)
  }
  return deltas.filter(({ path, before, after }) => {
    if (goal.isUnread(path) || (after === null && goal.isLeftOut(path))) return false
    return isNamed(path) || (before === null && after?.type === 'directory' && needed.has(path))
  })
}

function list(paths: Iterable<ByteString>): string[] {
  return [...paths].toSorted(compareBytes).map(shownPath)
}
