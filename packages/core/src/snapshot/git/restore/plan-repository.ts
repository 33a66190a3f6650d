import { fromBytePath } from '../../byte-path.ts'
import type { RepositoryState } from '../user/repository-state.ts'
import { isRefName } from '../user/is-ref-name.ts'
import { isRecorded } from '../user/read-refs.ts'
import { commitsIn } from '../user/repository-operation.ts'

/** What is to be put back, and what has to stay reachable. Names are in Latin-1. */
export interface RepositoryPlan {
  readonly restored: readonly RepositoryPart[]
  /** Refs to make, by name: what the repository names now and would not name any more. */
  readonly safetyRefs: readonly SafetyRef[]
  /** Branches and tags that are not as they were; they are left as they are. */
  readonly otherRefs: readonly OtherRef[]
}

type RepositoryPart = 'HEAD' | 'branch' | 'index' | 'stash' | 'operation'

interface SafetyRef {
  readonly name: string
  /** An object id. */
  readonly target: string
  /** What named it: `HEAD`, a ref, `stash@{0}`, or a file of an operation in progress. */
  readonly was: string
}

interface OtherRef {
  readonly ref: string
  /** At the snapshot; `null` when there was none. */
  readonly was: string | null
  readonly is: string | null
}

/** @param guardId names the rollback in the names of safety refs */
export function planRepository(now: RepositoryState, goal: RepositoryState, guardId: string): RepositoryPlan {
  const { branch } = goal
  const restored: RepositoryPart[] = []
  if (now.head !== goal.head) restored.push('HEAD')
  if (branch !== null && now.refs.get(branch) !== goal.refs.get(branch)) restored.push('branch')
  if (isOtherIndex(now, goal)) restored.push('index')
  if (now.stashLog !== goal.stashLog || now.refs.get('refs/stash') !== goal.refs.get('refs/stash'))
    restored.push('stash')
  if (JSON.stringify(now.operation) !== JSON.stringify(goal.operation)) restored.push('operation')
  const otherRefs = findOtherRefs(now, goal, branch)
  return { restored, otherRefs, safetyRefs: findSafetyRefs(now, goal, otherRefs, guardId) }
}

export function isDetached({ head }: Pick<RepositoryState, 'head'>): boolean {
  return /^[0-9a-f]{40,64}$/.test(head)
}

export function commitOf(state: Pick<RepositoryState, 'head' | 'branch' | 'refs'>): string | null {
  if (state.branch !== null) return state.refs.get(state.branch) ?? null
  return isDetached(state) ? state.head : null
}

/**
 * The ids of the stash's entries, oldest first, and of its ref: that is the last entry, unless its log has been expired.
 */
export function stashIds({ stashLog, refs }: Pick<RepositoryState, 'stashLog' | 'refs'>): string[] {
  const ids = stashLog.split('\n').flatMap((line) => /^[0-9a-f]+ ([0-9a-f]+) /.exec(line)?.[1] ?? [])
  const ref = refs.get('refs/stash')
  return ref === undefined || ids.at(-1) === ref ? ids : [...ids, ref]
}

function isOtherIndex(now: RepositoryState, goal: RepositoryState): boolean {
  return now.index?.content !== goal.index?.content
}

function findOtherRefs(now: RepositoryState, goal: RepositoryState, branch: string | null): OtherRef[] {
  const names = new Set([...now.refs.keys(), ...goal.refs.keys()])
  names.delete('refs/stash')
  if (branch !== null) names.delete(branch)
  return [...names]
    .filter(isRecorded)
    .toSorted()
    .flatMap((ref) => {
      const [was, is] = [goal.refs.get(ref) ?? null, now.refs.get(ref) ?? null]
      return was === is ? [] : [{ ref, was, is }]
    })
}

function findSafetyRefs(
  now: RepositoryState,
  goal: RepositoryState,
  otherRefs: readonly OtherRef[],
  guardId: string,
): SafetyRef[] {
  const base = `refs/ws/rollback/${guardId}`
  const found: SafetyRef[] = []
  const add = (name: string, target: string | null | undefined, was: string): void => {
    if (target != null) found.push({ name: `${base}/${name}`, target, was })
  }
  const { branch } = goal
  const [head, former] = [commitOf(now), commitOf(goal)]
  if (head !== former) add('HEAD', head, 'HEAD')
  if (branch !== null && now.refs.get(branch) !== goal.refs.get(branch))
    add(`now/${short(branch)}`, now.refs.get(branch), branch)
  for (const { ref, was, is } of otherRefs) {
    add(`now/${short(ref)}`, is, ref)
    add(`before/${short(ref)}`, was, ref)
  }
  const kept = new Set(stashIds(goal))
  const stashes = stashIds(now).toReversed()
  for (const [at, id] of stashes.entries()) if (!kept.has(id)) add(`stash/${at}`, id, `stash@{${at}}`)
  const inOperation = goal.operation === null ? new Map<string, string>() : commitsIn(goal.operation)
  for (const [name, id] of now.operation === null ? [] : commitsIn(now.operation)) {
    // Whoever made the file need not have had refs in mind.
    const ref = isRefName(`operation/${name}`) ? name : `unnamed-${found.length}`
    if (inOperation.get(name) !== id) add(`operation/${ref}`, id, name)
  }
  return found
}

function short(ref: string): string {
  return ref.replace(/^refs\//, '')
}

/** With the names as people know them. */
export function shownPlan({
  safetyRefs,
  otherRefs,
}: RepositoryPlan): Pick<RepositoryPlan, 'safetyRefs' | 'otherRefs'> {
  return {
    safetyRefs: safetyRefs.map(({ name, target, was }) => ({
      name: fromBytePath(name),
      target,
      was: fromBytePath(was),
    })),
    otherRefs: otherRefs.map(({ ref, was, is }) => ({ ref: fromBytePath(ref), was, is })),
  }
}
