import { WorkspaceError } from '../errors.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/** @throws `INVALID_INPUT` */
export function assertSnapshot(value: unknown): asserts value is Snapshot {
  if (typeof value === 'object' && value !== null && 'ref' in value && 'backend' in value) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    'That is no snapshot. Pass what workspace.snapshot() gave, or a snapshot of a run.',
  )
}
