import type { DirectoryEntry, TreeEntry } from '../../bundle/format/tree-node.ts'
import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { fromBytePath } from '../git/byte-path.ts'
import { isEmptyDirectory, type Delta } from './compare-states.ts'
import type { Leaf } from './describe-changes.ts'

export interface RollbackPlan {
  /** What goes, whether or not something takes its place; sorted. Directories only as far as nothing is left in them. */
  readonly removals: readonly Removal[]
  /** Directories that are to be there, with their modes; sorted. */
  readonly directories: readonly { readonly path: ByteString; readonly mode: number }[]
  readonly writes: readonly Write[]
  readonly modeChanges: readonly { readonly path: ByteString; readonly before: Leaf; readonly mode: number }[]
  readonly restored: readonly ByteString[]
  readonly deleted: readonly ByteString[]
}

export interface Removal {
  readonly path: ByteString
  /** As the guard has it. */
  readonly entry: TreeEntry
  /** Something is to take its place, so it cannot stay. */
  readonly isReplaced: boolean
}

export interface Write {
  readonly path: ByteString
  readonly entry: Leaf
  /** What is replaced in one step: a file or link, as the guard has it. */
  readonly before: Leaf | null
}

/**
 * What turns the present state into the target, for the differences between them.
 * @param isEmptyNow whether there is nothing at all in a directory, captured or not
 */
export function planRollback(
  deltas: readonly Delta[],
  isEmptyNow: (path: ByteString) => boolean,
): RollbackPlan {
  const plan: GrowingPlan = {
    removals: [],
    directories: [],
    writes: [],
    modeChanges: [],
    restored: [],
    deleted: [],
  }
  for (const delta of deltas) {
    const { path, before, after } = delta
    assertTouchable(path)
    if (after?.type === 'directory') planDirectory(plan, path, before, after)
    else if (after !== null) planLeaf(plan, delta, after)
    else if (before !== null) {
      plan.removals.push({ path, entry: before, isReplaced: false })
      if (before.type !== 'directory' || (isEmptyDirectory(before) && isEmptyNow(path)))
        plan.deleted.push(path)
    }
  }
  return plan
}

type GrowingPlan = { readonly [Part in keyof RollbackPlan]: RollbackPlan[Part][number][] }

function planDirectory(
  plan: GrowingPlan,
  path: ByteString,
  before: TreeEntry | null,
  after: DirectoryEntry,
): void {
  const isThere = before?.type === 'directory'
  if (isThere && before.mode === after.mode) return
  plan.directories.push({ path, mode: after.mode })
  // One that is made for what is in it is not listed; that is.
  const isListed = isThere || isEmptyDirectory(after)
  if (isListed) plan.restored.push(path)
  if (before === null || isThere) return
  plan.removals.push({ path, entry: before, isReplaced: true })
  if (!isListed) plan.deleted.push(path)
}

function planLeaf(plan: GrowingPlan, { path, before, hasSameContent }: Delta, after: Leaf): void {
  if (before?.type === 'directory') plan.removals.push({ path, entry: before, isReplaced: true })
  const old = before === null || before.type === 'directory' ? null : before
  if (old !== null && hasSameContent) plan.modeChanges.push({ path, before: old, mode: after.mode })
  else plan.writes.push({ path, entry: after, before: old })
  plan.restored.push(path)
}

/** Trees are made by this library, but they are read from files. */
function assertTouchable(path: ByteString): void {
  const isUsable = path.split('/').every((name) => !['', '.', '..', '.git'].includes(name))
  if (isUsable) return
  throw new WorkspaceError(
    'CORRUPT',
    `A snapshot holds the impossible path ${JSON.stringify(fromBytePath(path))}. Nothing was changed.`,
    { details: { path: fromBytePath(path) } },
  )
}
