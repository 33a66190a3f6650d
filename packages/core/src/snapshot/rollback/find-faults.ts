import type { ByteString } from '../../filesystem/directory-handle.ts'
import type { MergedFile } from './merge-foreign-edits.ts'
import {
  leafOf,
  type Delta,
  type PresentState,
  type RollbackSource,
  type RollbackState,
} from './rollback-source.ts'

export interface Expectation {
  readonly goal: RollbackState
  /** The state before the rollback. */
  readonly guard: RollbackState
  readonly isInScope: (path: ByteString) => boolean
  readonly kept: ReadonlySet<ByteString>
  readonly merged: ReadonlyMap<ByteString, MergedFile>
  readonly isEmptyNow: (path: ByteString) => boolean
}

export interface Findings {
  /** Paths that are not as they should be. */
  readonly faults: readonly ByteString[]
  /**
   * Files that the guard did not hold and the target does not have: made meanwhile, or brought into view by ignore rules
   * of the target. They were never captured, so they stay.
   */
  readonly appeared: readonly ByteString[]
}

/** What a new capture shows to be unlike the target. */
export async function findFaults(
  source: RollbackSource,
  reached: PresentState,
  expectation: Expectation,
): Promise<Findings> {
  const { goal, guard, isInScope, kept } = expectation
  if (reached.ref === goal.ref && expectation.merged.size === 0) return { faults: [], appeared: [] }
  const deltas = (await source.compare(reached, goal)).filter(
    ({ path, after }) =>
      isInScope(path) && !kept.has(path) && !goal.isUnread(path) && !(after === null && goal.isLeftOut(path)),
  )
  const isNew = await findNew(source, guard, reached, deltas)
  const faults: ByteString[] = []
  const appeared: ByteString[] = []
  for (const delta of deltas) {
    if (!(await isFault(source, reached, delta, expectation))) continue
    if (delta.after === null && isNew(delta.path)) {
      if (leafOf(delta.before) !== null) appeared.push(delta.path)
    } else faults.push(delta.path)
  }
  // A merge differs from the target by its nature.
  const seen = new Set(deltas.map(({ path }) => path))
  for (const path of expectation.merged.keys()) if (!seen.has(path)) faults.push(path)
  return { faults, appeared }
}

async function findNew(
  source: RollbackSource,
  guard: RollbackState,
  reached: RollbackState,
  deltas: readonly Delta[],
): Promise<(path: ByteString) => boolean> {
  if (deltas.every(({ after }) => after !== null)) return () => false
  const created = new Set<ByteString>()
  for (const { path, before } of await source.compare(guard, reached)) if (before === null) created.add(path)
  return (path) => created.has(path)
}

async function isFault(
  source: RollbackSource,
  reached: RollbackState,
  { path, before, after }: Delta,
  { merged, isEmptyNow }: Expectation,
): Promise<boolean> {
  const mergedFile = merged.get(path)
  if (mergedFile !== undefined) {
    const entry = leafOf(before)
    return (
      entry === null ||
      entry.mode !== mergedFile.mode ||
      !(await source.holds(reached, { path, entry }, mergedFile.content))
    )
  }
  if (before?.type === 'directory' && after?.type === 'directory') return before.mode !== after.mode
  // A directory that holds something uncaptured, or something kept, stays.
  return after !== null || before?.type !== 'directory' || isEmptyNow(path)
}
