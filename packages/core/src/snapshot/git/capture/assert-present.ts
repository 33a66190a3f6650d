import { WorkspaceError } from '../../../errors.ts'
import { hasFormat, type ObjectFormat } from '../private/object-format.ts'
import { objectSizes } from '../private/object-sizes.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import { formatRef } from '../private/sidecar.ts'
import { readSnapshotLog } from '../private/snapshot-log.ts'

/** A captured state, as its ref names it. */
export interface StoredState {
  readonly tree: string
  readonly sidecar: string | null
}

/** @throws `NOT_FOUND` when a state is not in the private repository any more */
export async function assertPresent(own: PrivateRepository, states: readonly StoredState[]): Promise<void> {
  assertLogged(own, states)
  const sizes = await objectSizes(
    own,
    states.map(({ tree }) => tree),
  )
  for (const { tree } of states) {
    if (sizes.has(tree)) continue
    throw new WorkspaceError(
      'NOT_FOUND',
      `The data of snapshot state ${tree} is gone from the state directory. Take a new snapshot.`,
      {
        details: { tree },
      },
    )
  }
}

/**
 * What has been collected may still be there in parts; it counts as gone.
 * @throws `NOT_FOUND`; `INVALID_INPUT` for one of the other object format
 */
export function assertLogged(own: PrivateRepository, states: readonly StoredState[]): void {
  const refs = new Set(readSnapshotLog(own).map(({ ref }) => ref))
  for (const { tree, sidecar } of states) {
    if (refs.has(formatRef(tree, sidecar))) continue
    if (!hasFormat(own.format, tree)) throw otherFormat(tree, own.format)
    throw new WorkspaceError(
      'NOT_FOUND',
      `Snapshot state ${tree} is not in the state directory (any more): it made room for newer ones, or was taken with another state directory. Take a new snapshot; for longer memories raise maxSnapshotBytes, give snapshots a label of your own, or save versions.`,
      { details: { tree } },
    )
  }
}

function otherFormat(tree: string, format: ObjectFormat): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `Snapshot state ${tree} is none by ${format}, as the other one is: the repository was made anew in between, with another object format. Roll back to each by itself; the two cannot be compared.`,
    { details: { tree, format } },
  )
}
