import { WorkspaceError } from '../../../errors.ts'
import type { Repository } from './repository.ts'

/**
 * Deletes an object unless the store does not let it go, as under a lock or a retention that has not ended.
 * @returns whether it is gone
 */
export async function deleteUnlocked(
  repository: Repository,
  key: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await repository.store.delete(key, { signal })
    return true
  } catch (error) {
    if (isRefusal(error)) return false
    throw error
  }
}

/** Whether a store that otherwise works refused to change an object: a later call may find it free. */
export function isRefusal(error: unknown): boolean {
  return WorkspaceError.is(error, 'ACCESS_DENIED') || WorkspaceError.is(error, 'BUSY')
}
