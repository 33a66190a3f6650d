import { WorkspaceError } from '../../errors.ts'
import type { RollbackRecovery, Snapshot } from '../snapshot.ts'
import { listPaths } from './list-paths.ts'

/** A snapshot that tells that a killed rollback was ended before it was taken. */
export function withRecovery(snapshot: Snapshot, recovery: RollbackRecovery | null): Snapshot {
  return recovery === null ? snapshot : { ...snapshot, metadata: { ...snapshot.metadata, recovery } }
}

/** Does what comes after a killed rollback was ended. Where that fails, its error tells of it: nothing else will. */
export async function tellingRecovery<T>(
  recovery: RollbackRecovery | null,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (recovery === null || !WorkspaceError.is(error)) throw error
    const { outcome, target, guard, kept } = recovery
    const end = outcome === 'forward' ? 'completed' : 'taken back'
    const edits = kept.length === 0 ? '' : ` Left as somebody had changed it since: ${listPaths(kept)}.`
    const told = `Before that, a rollback to snapshot ${target.id} that had been killed was ${end}; the state before it is kept as snapshot ${guard.id}.${edits}`
    throw new WorkspaceError(error.code, `${error.message} ${told}`, {
      cause: error,
      details: {
        ...error.details,
        recovery: outcome,
        recoveryTarget: target.id,
        recoveryGuard: guard.id,
        recoveryGuardRef: guard.ref,
        recoveryKept: kept,
      },
    })
  }
}
