import { readdirSync } from 'node:fs'
import { WorkspaceError } from '../../errors.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { compareBytes, fromBytePath, pathResolver, toBytePath } from '../git/byte-path.ts'
import type { RollbackOptions, RollbackResult } from '../snapshot-backend.ts'
import type { Snapshot } from '../snapshot.ts'
import { applyRollback } from './apply-rollback.ts'
import { captureDirectory, type CapturedVersion } from './capture.ts'
import { checkPlaces, list } from './check-places.ts'
import { compareStates, type Delta } from './compare-states.ts'
import { planRollback } from './plan-rollback.ts'
import { sweepInterruptedRollback } from './rollback-journal.ts'
import { openState, stateCacheOf, type StoredState } from './stored-state.ts'
import { factsOf, findSnapshot, type BundleWorkspace } from './workspace-versions.ts'

/**
 * Under the workspace's lock: capture (the guard), compare with what the caller expects, look at every place that
 * would be touched, apply the difference only, capture again and compare. Up to the first write nothing is touched;
 * a failure after it brings the guard's state back.
 */
export async function rollbackDirectory(
  workspace: BundleWorkspace,
  target: Snapshot,
  options: RollbackOptions,
): Promise<RollbackResult> {
  const { dryRun = false, expected, onForeignEdits = 'refuse', signal } = options
  const goalRecord = await findSnapshot(workspace, target, signal)
  const believed = expected === undefined ? null : await findSnapshot(workspace, expected, signal)
  const isInScope = scopeOf(options.paths)
  sweepInterruptedRollback(workspace)

  const cache = stateCacheOf(workspace)
  // The target's rules decide what counts: what they left out then is not touched now.
  const { rules } = factsOf(goalRecord)
  const capture = (label: string, captureSignal?: AbortSignal): Promise<CapturedVersion> =>
    captureDirectory(workspace, { label, rules, signal: captureSignal })
  const open = (record: VersionRecord): StoredState => openState(workspace, record, cache)
  const present = await capture(dryRun ? 'rollback_preview' : 'rollback_guard', signal)
  const goal = open(goalRecord)
  const guard = open(present.record)
  const isUnknown = leftOut(goalRecord)
  const all = (await compareStates(guard, goal, signal)).filter(
    ({ path, after }) => isInScope(path) && !(after === null && isUnknown(path)),
  )
  const foreign =
    believed === null ? new Set<ByteString>() : await foreignEdits(open(believed), guard, all, signal)
  if (foreign.size > 0 && onForeignEdits === 'refuse') throw refusal(foreign)
  const kept = onForeignEdits === 'keep' ? foreign : new Set<ByteString>()
  const resolve = pathResolver(workspace.path)
  const isEmptyNow = (path: ByteString): boolean => isEmpty(resolve(path))
  const plan = planRollback(
    all.filter(({ path }) => !kept.has(path)),
    isEmptyNow,
  )
  await checkPlaces(workspace.path, plan, { state: guard, startedAt: present.startedAt })
  signal?.throwIfAborted()

  const result = {
    dryRun,
    targetRef: target.ref,
    restored: plan.restored.map(fromBytePath),
    deleted: plan.deleted.map(fromBytePath),
    kept: [...kept].toSorted(compareBytes).map(fromBytePath),
  }
  if (dryRun) return { ...result, guard: null, verified: false }
  try {
    await applyRollback(workspace, plan, goal, signal)
    const reached = await capture('rollback_check')
    if (reached.snapshot.ref !== target.ref) {
      const wrong = (await compareStates(open(reached.record), goal)).filter(
        (delta) => isInScope(delta.path) && !kept.has(delta.path) && isFault(delta, isUnknown, isEmptyNow),
      )
      if (wrong.length > 0) throw unproven(wrong)
    }
  } catch (error) {
    await restoreGuard(workspace, { guard, present, touched: all, capture, open, isEmptyNow }, error)
    throw error
  }
  return { ...result, guard: present.snapshot, verified: true }
}

/** A directory that holds something uncaptured, or something kept, stays; so does what the target left out. */
function isFault(
  { path, before, after, hasSameContent }: Delta,
  isUnknown: (path: ByteString) => boolean,
  isEmptyNow: (path: ByteString) => boolean,
): boolean {
  if (before?.type === 'directory' && after?.type === 'directory')
    return !hasSameContent || before.mode !== after.mode
  if (after !== null) return true
  return !isUnknown(path) && (before?.type !== 'directory' || isEmptyNow(path))
}

/** Paths that the rollback would touch and that are not as the caller believes. */
async function foreignEdits(
  believed: StoredState,
  guard: StoredState,
  deltas: readonly Delta[],
  signal?: AbortSignal,
): Promise<Set<ByteString>> {
  const touched = new Set(deltas.map(({ path }) => path))
  const edits = await compareStates(believed, guard, signal)
  return new Set(
    edits
      .filter(({ before, after }) => !isMerelyFilled(before, after))
      .map(({ path }) => path)
      .filter((path) => touched.has(path)),
  )
}

/** A directory that is the same but for what is in it: that has paths of its own. */
function isMerelyFilled(before: Delta['before'], after: Delta['after']): boolean {
  return before?.type === 'directory' && after?.type === 'directory' && before.mode === after.mode
}

interface Recovery {
  readonly guard: StoredState
  readonly present: CapturedVersion
  /** What the rollback was about: nothing else is touched on the way back. */
  readonly touched: readonly Delta[]
  readonly capture: (label: string) => Promise<CapturedVersion>
  readonly open: (record: VersionRecord) => StoredState
  readonly isEmptyNow: (path: ByteString) => boolean
}

/** @throws `INTERNAL` when even that fails; the guard is in the details */
async function restoreGuard(workspace: BundleWorkspace, recovery: Recovery, reason: unknown): Promise<void> {
  const { guard, present, capture, open, isEmptyNow } = recovery
  try {
    sweepInterruptedRollback(workspace)
    const now = await capture('rollback_recovery')
    const state = open(now.record)
    const touched = new Set(recovery.touched.map(({ path }) => path))
    const deltas = (await compareStates(state, guard)).filter(({ path }) => touched.has(path))
    const plan = planRollback(deltas, isEmptyNow)
    await checkPlaces(workspace.path, plan, { state, startedAt: now.startedAt })
    await applyRollback(workspace, plan, guard)
  } catch (error) {
    throw new WorkspaceError(
      'INTERNAL',
      `The rollback of ${workspace.path} failed, and so did the return to the state before it. That state is kept as snapshot ${present.snapshot.id}; roll back to it when the cause is gone.`,
      {
        cause: new AggregateError([reason, error]),
        details: { path: workspace.path, guard: present.snapshot.id },
      },
    )
  }
}

/** What a snapshot did not capture, and everything below it. */
function leftOut(record: VersionRecord): (path: ByteString) => boolean {
  const { omitted, unstable } = factsOf(record)
  const places = new Set([...omitted.map(({ path }) => path), ...unstable].map(toBytePath))
  return (path) => {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1))
      if (places.has(path.slice(0, end))) return true
    return places.has(path)
  }
}

/** @throws `UNSAFE_PATH` for a path that leads out of the workspace */
function scopeOf(paths: readonly string[] | undefined): (path: ByteString) => boolean {
  if (paths === undefined) return () => true
  const scopes = paths.map((path) => {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.')
    if (!path.startsWith('/') && !parts.includes('..') && !path.includes('\0'))
      return toBytePath(parts.join('/'))
    throw new WorkspaceError(
      'UNSAFE_PATH',
      `${JSON.stringify(path)} is not a path inside the workspace. Use relative paths without "..".`,
      { details: { path } },
    )
  })
  return (path) => scopes.some((scope) => scope === '' || path === scope || path.startsWith(`${scope}/`))
}

function isEmpty(path: string | Buffer): boolean {
  try {
    return readdirSync(path).length === 0
  } catch {
    return false
  }
}

function refusal(foreign: ReadonlySet<ByteString>): WorkspaceError {
  const paths = [...foreign].toSorted(compareBytes).map(fromBytePath)
  return new WorkspaceError(
    'CONFLICT',
    `The rollback touched nothing: ${list(paths)} changed after the expected snapshot. Pass onForeignEdits "keep" to leave such paths as they are, or "overwrite" to roll them back too.`,
    { details: { paths } },
  )
}

function unproven(deltas: readonly Delta[]): WorkspaceError {
  const paths = deltas.map(({ path }) => fromBytePath(path))
  return new WorkspaceError(
    'CONFLICT',
    `The rollback was undone: afterwards ${list(paths)} did not equal the target. Stop what writes there, then roll back again.`,
    { details: { paths } },
  )
}
