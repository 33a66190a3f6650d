import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { compareBytes, parentOf } from '../byte-path.ts'
import type { RollbackOptions } from '../snapshot-backend.ts'
import { listPaths, shownPath } from './list-paths.ts'
import { mergeForeignEdits, type MergedEdits, type ThreeStates } from './merge-foreign-edits.ts'
import type { Delta, RollbackSource } from './rollback-source.ts'

export interface SettledEdits extends MergedEdits {
  /** Paths that are not as the caller believes, whatever becomes of them. */
  readonly foreign: ReadonlySet<ByteString>
}

export const noForeignEdits: SettledEdits = { kept: new Set(), merged: new Map(), foreign: new Set() }

/**
 * Finds what somebody else changed among the paths that a rollback would touch, and decides what becomes of it.
 * @param deltas from the guard to the goal
 * @throws `CONFLICT` when that is to be refused, or cannot be merged; details name the paths
 */
export async function settleForeignEdits(
  source: RollbackSource,
  states: ThreeStates,
  deltas: readonly Delta[],
  { policy, opened }: ForeignEditPolicy,
  signal?: AbortSignal,
): Promise<SettledEdits> {
  const touched = new Map(
    deltas.filter((delta) => !isMerelyFilled(delta)).map((delta) => [delta.path, delta]),
  )
  const edits: Delta[] = []
  const unseen = new Set<ByteString>()
  for (const edit of await source.compare(states.believed, states.guard, signal)) {
    const { path } = edit
    if (!touched.has(path) || isMerelyFilled(edit)) continue
    const isUnknown = states.believed.isUnread(path) || states.believed.isLeftOut(path)
    if (!isUnknown) edits.push(edit)
    else if (!isOpened(opened, path)) unseen.add(path)
  }
  const foreign = new Set(edits.map(({ path }) => path))
  if (policy === 'overwrite') return { ...noForeignEdits, foreign }
  if (foreign.size === 0) return { ...noForeignEdits, kept: unseen }
  if (policy === 'refuse') throw refusal(foreign)
  if (policy === 'keep') return { kept: new Set([...foreign, ...unseen]), merged: new Map(), foreign }
  const { kept, merged } = await mergeForeignEdits(source, states, edits, touched, signal)
  return { kept: new Set([...kept, ...unseen]), merged, foreign }
}

export interface ForeignEditPolicy {
  readonly policy: NonNullable<RollbackOptions['onForeignEdits']>
  /**
   * What this rollback has opened. What the expected state could not read either is nobody's edit: it has stayed closed.
   * Whatever else that state did not see (files that closed ignore rules may have named) stays as it is.
   */
  readonly opened: ReadonlyMap<ByteString, number>
}

function isOpened(opened: ReadonlyMap<ByteString, number>, path: ByteString): boolean {
  for (let part = path; ; part = parentOf(part)) {
    if (opened.has(part)) return true
    if (part === '') return false
  }
}

/** A directory that is the same but for what is in it: that has paths of its own. */
function isMerelyFilled({ before, after }: Delta): boolean {
  return before?.type === 'directory' && after?.type === 'directory' && before.mode === after.mode
}

function refusal(foreign: ReadonlySet<ByteString>): WorkspaceError {
  const paths = [...foreign].toSorted(compareBytes).map(shownPath)
  return new WorkspaceError(
    'CONFLICT',
    `The rollback touched nothing: ${listPaths(paths)} changed after the expected snapshot. Pass onForeignEdits "keep" to leave such paths as they are, "merge" to undo around them, or "overwrite" to roll them back too.`,
    { details: { paths } },
  )
}
