import { WorkspaceError } from '../errors.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/** @throws `INVALID_INPUT` */
export function assertSnapshot(value: unknown): asserts value is Snapshot {
  if (typeof value === 'object' && value !== null) {
    const { id, backend, path, ref } = value as Partial<Snapshot>
    if ([id, backend, path, ref].every((part) => typeof part === 'string')) return
  }
  throw new WorkspaceError(
    'INVALID_INPUT',
    'That is no snapshot. Pass the whole of what workspace.snapshot() gave, or a snapshot of a run; as JSON it may be stored in between.',
  )
}
