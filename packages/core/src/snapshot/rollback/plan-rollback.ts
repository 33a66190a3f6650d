import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { fromBytePath } from '../byte-path.ts'
import type { MergedFile } from './merge-foreign-edits.ts'
import {
  isEmptyDirectory,
  leafOf,
  type Delta,
  type DirectoryEntry,
  type LeafEntry,
  type StateEntry,
} from './rollback-source.ts'

export interface RollbackPlan {
  /** What goes, whether or not something takes its place; sorted. Directories only as far as nothing is left in them. */
  readonly removals: readonly Removal[]
  /** Directories that are to be there, with their modes; sorted. */
  readonly directories: readonly { readonly path: ByteString; readonly mode: number }[]
  readonly writes: readonly Write[]
  readonly modeChanges: readonly {
    readonly path: ByteString
    readonly before: LeafEntry
    readonly mode: number
  }[]
  readonly restored: readonly ByteString[]
  readonly deleted: readonly ByteString[]
}

interface Removal {
  readonly path: ByteString
  /** As the guard has it. */
  readonly entry: StateEntry
  /** Something is to take its place, so it cannot stay. */
  readonly isReplaced: boolean
}

export interface Write {
  readonly path: ByteString
  readonly entry: LeafEntry
  /** What is replaced in one step: a file or link, as the guard has it. */
  readonly before: LeafEntry | null
  /** What to write instead of the entry's own content. */
  readonly merged: Uint8Array | null
}

/**
 * What turns the present state into the target, for the differences between them.
 * @param look at what no state tells about a path
 */
export function planRollback(
  deltas: readonly Delta[],
  merged: ReadonlyMap<ByteString, MergedFile>,
  look: PresentPaths,
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
    assertTouchable(delta)
    if (after?.type === 'directory') planDirectory(plan, path, before, after)
    else if (after !== null) planLeaf(plan, delta, after, merged.get(path), look)
    else if (before !== null) {
      plan.removals.push({ path, entry: before, isReplaced: false })
      if (before.type !== 'directory' || (isEmptyDirectory(before) && look.isEmptyNow(path)))
        plan.deleted.push(path)
    }
  }
  return plan
}

/** What is there now, besides what was captured. */
export interface PresentPaths {
  /** Whether there is nothing at all in a directory, captured or not. */
  readonly isEmptyNow: (path: ByteString) => boolean
  /** Whether a file has other names, here or outside of the workspace. */
  readonly hasOtherNames: (path: ByteString) => boolean
}

type GrowingPlan = { readonly [Part in keyof RollbackPlan]: RollbackPlan[Part][number][] }

function planDirectory(
  plan: GrowingPlan,
  path: ByteString,
  before: StateEntry | null,
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

function planLeaf(
  plan: GrowingPlan,
  { path, before, hasSameContent }: Delta,
  after: LeafEntry,
  merged: MergedFile | undefined,
  { hasOtherNames }: PresentPaths,
): void {
  if (before?.type === 'directory') plan.removals.push({ path, entry: before, isReplaced: true })
  const old = leafOf(before)
  if (merged !== undefined) {
    plan.writes.push({ path, entry: { ...after, mode: merged.mode }, before: old, merged: merged.content })
    // To change a mode in place would change it by the other names too, wherever they are.
  } else if (old !== null && hasSameContent && !hasOtherNames(path))
    plan.modeChanges.push({ path, before: old, mode: after.mode })
  else plan.writes.push({ path, entry: after, before: old, merged: null })
  plan.restored.push(path)
}

/** States are made by this library, but they are read from files. */
function assertTouchable({ path, before, after }: Delta): void {
  if (path === '' && before?.type === 'directory' && after?.type === 'directory') return
  const isUsable = path
    .split('/')
    .every((name) => name !== '' && name !== '.' && name !== '..' && name.toLowerCase() !== '.git')
  if (isUsable) return
  throw new WorkspaceError(
    'UNSAFE_PATH',
    `A snapshot names ${JSON.stringify(fromBytePath(path))}, where a rollback must not write. Nothing was changed.`,
    { details: { path: fromBytePath(path) } },
  )
}
