import type { RollbackStep } from '../snapshot-backend.ts'
import type { SettledEdits } from './foreign-edits.ts'
import { shownPath } from './list-paths.ts'
import type { RollbackPlan } from './plan-rollback.ts'
import {
  leafOf,
  type Delta,
  type PlacedLeaf,
  type RollbackSource,
  type StateEntry,
} from './rollback-source.ts'

/** Every path that a plan changes or removes, with what it is and becomes; sorted. */
export async function describeSteps(
  source: RollbackSource,
  deltas: readonly Delta[],
  plan: RollbackPlan,
  { merged, foreign }: SettledEdits,
  signal?: AbortSignal,
): Promise<RollbackStep[]> {
  const listed = new Set([...plan.restored, ...plan.deleted])
  const shown = deltas.filter(({ path }) => listed.has(path))
  const leaves: PlacedLeaf[] = []
  const sides: (readonly [StateEntry | null, StateEntry | null])[] = shown.map(({ before, after }) => [
    before,
    after,
  ])
  for (const [row, pair] of sides.entries()) {
    for (const entry of pair) {
      const leaf = leafOf(entry)
      if (leaf !== null) leaves.push({ path: shown[row]?.path ?? '', entry: leaf })
    }
  }
  const sizes = await source.sizesOf(leaves, signal)
  const sizeOf = new Map<StateEntry, number>(leaves.map(({ entry }, at) => [entry, sizes[at] ?? 0]))
  const describe = (entry: StateEntry | null): RollbackStep['before'] =>
    entry && { type: entry.type, mode: entry.mode, size: sizeOf.get(entry) ?? 0 }
  return shown.map((delta) => {
    const mergedFile = merged.get(delta.path)
    const after = describe(delta.after)
    return {
      path: shownPath(delta.path),
      ...actionOf(delta, mergedFile !== undefined),
      isForeignEdit: foreign.has(delta.path),
      before: describe(delta.before),
      after:
        mergedFile === undefined || after === null
          ? after
          : { ...after, mode: mergedFile.mode, size: mergedFile.content.length },
    }
  })
}

function actionOf(
  { before, after, hasSameContent }: Delta,
  isMerged: boolean,
): Pick<RollbackStep, 'action' | 'reason'> {
  if (after === null) return { action: 'delete', reason: 'not-in-target' }
  if (isMerged) return { action: 'merge', reason: 'content-differs' }
  if (before === null) return { action: 'create', reason: 'missing' }
  if (before.type !== after.type) return { action: 'replace', reason: 'type-differs' }
  return hasSameContent
    ? { action: 'change-mode', reason: 'mode-differs' }
    : { action: 'replace', reason: 'content-differs' }
}
