import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { compareBytes } from '../byte-path.ts'
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
  policy: NonNullable<RollbackOptions['onForeignEdits']>,
  signal?: AbortSignal,
): Promise<SettledEdits> {
  const touched = new Map(deltas.map((delta) => [delta.path, delta]))
  const edits = (await source.compare(states.believed, states.guard, signal)).filter(
    (edit) => touched.has(edit.path) && !isMerelyFilled(edit),
  )
  const foreign = new Set(edits.map(({ path }) => path))
  if (foreign.size === 0) return noForeignEdits
  if (policy === 'refuse') throw refusal(foreign)
  if (policy === 'keep') return { kept: foreign, merged: new Map(), foreign }
  if (policy === 'overwrite') return { ...noForeignEdits, foreign }
  return { ...(await mergeForeignEdits(source, states, edits, touched, signal)), foreign }
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
