import { WorkspaceError } from '../../../errors.ts'

/**
 * Damage may have happened on the way, so what is damaged is read once more: only then does it say something of what is
 * stored.
 * @param onTransient told of damage that the second read did not find
 */
export async function readTwice<T>(
  read: () => Promise<T>,
  onTransient?: (error: WorkspaceError) => void,
): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (!WorkspaceError.is(error, 'CORRUPT')) throw error
    const result = await read()
    onTransient?.(error)
    return result
  }
}
