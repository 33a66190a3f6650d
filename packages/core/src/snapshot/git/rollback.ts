import { WorkspaceError } from '../../errors.ts'
import type { RollbackOptions, RollbackResult } from '../snapshot-backend.ts'
import type { Snapshot } from '../snapshot.ts'
import { applyRollback, sweepInterruptedRollback } from './apply-rollback.ts'
import { compareBytes, fromBytePath, pathResolver, toBytePath, type BytePath } from './byte-path.ts'
import { captureWorkspace } from './capture.ts'
import { assertPresent, compareStates, stateOf, type Delta, type StoredState } from './compare-states.ts'
import { readOmitted } from './omitted-paths.ts'
import { findDirectoryModes, isEmptyDirectory, list, planRollback, preflight } from './plan-rollback.ts'
import type { GitWorkspace } from './read-contents.ts'
import { readSidecar } from './sidecar.ts'

/**
 * Under the workspace's lock: capture (the guard), compare with what the caller expects, look at every place that
 * would be touched, apply the difference only, capture again and compare. Up to the first write nothing is touched;
 * a failure after it brings the guard's state back.
 */
export async function rollbackWorkspace(
  workspace: GitWorkspace,
  target: Snapshot,
  options: RollbackOptions,
): Promise<RollbackResult> {
  const { dryRun = false, expected, onForeignEdits = 'refuse', signal } = options
  const goal = stateOf(target, workspace.path)
  const believed = expected === undefined ? null : stateOf(expected, workspace.path)
  const isInScope = scopeOf(options.paths)
  await assertPresent(workspace.own, believed === null ? [goal] : [goal, believed])
  sweepInterruptedRollback(workspace)

  const keepInView = [goal.tree, ...(believed === null ? [] : [believed.tree])]
  const label = dryRun ? 'rollback_preview' : 'rollback_guard'
  const present = await captureWorkspace(workspace, { label, keepInView, signal })
  const guard = stateOf(present.snapshot, workspace.path)
  const isOmitted = readOmitted(workspace.own, target)
  const { unread } = readSidecar(workspace.own, goal.sidecar)
  // What the target could not read it holds from an earlier time, which is no reason to bring that back.
  const isUnknown = ({ path, after }: Delta) => unread.has(path) || (after === null && isOmitted(path))
  const all = (await compareStates(workspace.own, guard, goal, signal)).filter(
    (delta) => isInScope(delta.path) && !isUnknown(delta),
  )
  const foreign =
    believed === null
      ? new Set<BytePath>()
      : await foreignEdits(workspace, { believed, guard, goal, isInScope }, all, signal)
  if (foreign.size > 0 && onForeignEdits === 'refuse') throw refusal(foreign)
  const kept = onForeignEdits === 'keep' ? foreign : new Set<BytePath>()
  const plan = await planRollback(
    workspace,
    all.filter(({ path }) => !kept.has(path)),
    goal,
    (path) => isInScope(path) && !kept.has(path),
  )
  preflight(workspace.path, plan, {
    entries: present.state.entries.map(),
    unread: present.state.unread,
  })
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
    await applyRollback(workspace, plan, signal)
    const wrong = await findDifferences(workspace, {
      goal,
      guard,
      kept,
      isInScope,
      isUnknown,
      targetDirectories: plan.targetDirectories,
    })
    if (wrong.length > 0) throw unproven(wrong)
  } catch (error) {
    await restoreGuard(workspace, guard, goal, error)
    throw error
  }
  return { ...result, guard: present.snapshot, verified: true }
}

/** Paths that the rollback would touch and that are not as the caller believes. */
async function foreignEdits(
  { own }: GitWorkspace,
  {
    believed,
    guard,
    goal,
    isInScope,
  }: Record<'believed' | 'guard' | 'goal', StoredState> & Pick<Proof, 'isInScope'>,
  deltas: readonly Delta[],
  signal?: AbortSignal,
): Promise<Set<BytePath>> {
  const touched = new Set(deltas.map(({ path }) => path))
  const edits = await compareStates(own, believed, guard, signal)
  const foreign = new Set(edits.map(({ path }) => path).filter((path) => touched.has(path)))
  const modes = (state: StoredState) => readSidecar(own, state.sidecar).directoryModes
  const [expected, present, wanted] = [modes(believed), modes(guard), modes(goal)]
  for (const path of new Set([...expected.keys(), ...present.keys()])) {
    const isForeign = expected.get(path) !== present.get(path) && present.get(path) !== wanted.get(path)
    if (isForeign && isInScope(path)) foreign.add(path)
  }
  return foreign
}

interface Proof {
  readonly goal: StoredState
  readonly guard: StoredState
  readonly kept: ReadonlySet<BytePath>
  readonly isInScope: (path: BytePath) => boolean
  /** What the target says nothing about. */
  readonly isUnknown: (delta: Delta) => boolean
  readonly targetDirectories: ReadonlySet<BytePath>
}

/**
 * What a new capture shows to be unlike the target. Paths that the guard did not hold are no fault: the target's
 * ignore rules may bring files into view that were never captured, and those are left alone. So is what the target
 * left out and later ignore rules brought into view.
 */
async function findDifferences(workspace: GitWorkspace, proof: Proof): Promise<BytePath[]> {
  const { goal, guard, kept, isInScope, isUnknown, targetDirectories } = proof
  const keepInView = [goal.tree, guard.tree]
  const { snapshot } = await captureWorkspace(workspace, { label: 'rollback_check', keepInView })
  const reached = stateOf(snapshot, workspace.path)
  if (reached.tree === goal.tree && reached.sidecar === goal.sidecar) return []
  const deltas = (await compareStates(workspace.own, reached, goal)).filter(({ path }) => isInScope(path))
  const appeared = new Set<BytePath>()
  for (const { path, before } of await compareStates(workspace.own, guard, reached)) {
    if (before === null) appeared.add(path)
  }
  const isIncluded = (path: BytePath) => isInScope(path) && !kept.has(path)
  const wrongModes = findDirectoryModes(workspace, targetDirectories, goal, isIncluded)
  const resolve = pathResolver(workspace.path)
  const wrong = deltas.filter((delta) => {
    const { path, before, after } = delta
    if (kept.has(path) || isUnknown(delta) || (after === null && appeared.has(path))) return false
    // A directory that holds something uncaptured stays; one that holds something kept is not empty.
    if (after === null && before?.type === 'directory') return isEmptyDirectory(resolve(path))
    return !(
      before === null &&
      after?.type === 'directory' &&
      [...kept].some((other) => other.startsWith(`${path}/`))
    )
  })
  return [...wrong, ...wrongModes.filter(({ isThere }) => isThere)].map(({ path }) => path)
}

/** @throws `INTERNAL` when even that fails; the guard's tree is in the details */
async function restoreGuard(
  workspace: GitWorkspace,
  guard: StoredState,
  goal: StoredState,
  reason: unknown,
): Promise<void> {
  try {
    sweepInterruptedRollback(workspace)
    const keepInView = [guard.tree, goal.tree]
    const now = await captureWorkspace(workspace, { label: 'rollback_recovery', keepInView })
    const deltas = await compareStates(workspace.own, stateOf(now.snapshot, workspace.path), guard)
    const written = new Set((await compareStates(workspace.own, guard, goal)).map(({ path }) => path))
    const { unread } = readSidecar(workspace.own, guard.sidecar)
    const touchable = deltas
      .filter(({ path, after }) => after !== null || written.has(path))
      .map((delta) => (unread.has(delta.path) ? withModeOnly(delta) : delta))
    const plan = await planRollback(workspace, touchable, guard, () => true)
    await applyRollback(workspace, plan)
  } catch (error) {
    throw new WorkspaceError(
      'INTERNAL',
      `The rollback of ${workspace.path} failed, and so did the return to the state before it. That state is kept as tree ${guard.tree}; roll back to it when the cause is gone.`,
      {
        cause: new AggregateError([reason, error]),
        details: { path: workspace.path, guardTree: guard.tree },
      },
    )
  }
}

/** The guard could not read this file, so that it knows its mode and not its content. */
function withModeOnly(delta: Delta): Delta {
  const { before, after } = delta
  return before === null || after === null ? delta : { ...delta, before: { ...before, id: after.id } }
}

/** @throws `UNSAFE_PATH` for a path that leads out of the workspace */
function scopeOf(paths: readonly string[] | undefined): (path: BytePath) => boolean {
  if (paths === undefined) return () => true
  const scopes = paths.map((path) => {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.')
    if (path.startsWith('/') || parts.includes('..') || path.includes('\0')) {
      throw new WorkspaceError(
        'UNSAFE_PATH',
        `${JSON.stringify(path)} is not a path inside the workspace. Use relative paths without "..".`,
        {
          details: { path },
        },
      )
    }
    return toBytePath(parts.join('/'))
  })
  return (path) => scopes.some((scope) => scope === '' || path === scope || path.startsWith(`${scope}/`))
}

function refusal(foreign: ReadonlySet<BytePath>): WorkspaceError {
  const paths = [...foreign].toSorted(compareBytes).map(fromBytePath)
  return new WorkspaceError(
    'CONFLICT',
    `The rollback touched nothing: ${list(paths)} changed after the expected snapshot. Pass onForeignEdits "keep" to leave such paths as they are, or "overwrite" to roll them back too.`,
    { details: { paths } },
  )
}

function unproven(wrong: readonly BytePath[]): WorkspaceError {
  const paths = wrong.map(fromBytePath)
  return new WorkspaceError(
    'CONFLICT',
    `The rollback was undone: afterwards ${list(paths)} did not equal the target. Stop what writes there, then roll back again.`,
    { details: { paths } },
  )
}
