import type { RollbackRecovery, Snapshot } from '../snapshot.ts'

/** A snapshot that tells that a killed rollback was ended before it was taken. */
export function withRecovery(snapshot: Snapshot, recovery: RollbackRecovery | null): Snapshot {
  return recovery === null ? snapshot : { ...snapshot, metadata: { ...snapshot.metadata, recovery } }
}
