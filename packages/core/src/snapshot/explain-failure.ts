import { WorkspaceError } from '../errors.ts'
import { placeIn, toWorkspaceError } from '../filesystem/filesystem-error.ts'

/**
 * What the file system says to a snapshot or a rollback becomes one of this library's errors, about the place that it names.
 * Where it names none, what is full is the place of the snapshots: what a rollback writes into the workspace is explained
 * where it is written.
 */
export function explainFailure(
  error: unknown,
  { path, stateDirectory }: { readonly path: string; readonly stateDirectory: string },
): unknown {
  if (WorkspaceError.is(error)) return error
  const place = placeIn(stateDirectory, error)
  if (place !== null) return toWorkspaceError(error, 'use the state directory', place)
  const failure = toWorkspaceError(error, 'take or restore a snapshot of', path)
  if (!WorkspaceError.is(failure, 'QUOTA_EXCEEDED')) return failure
  return toWorkspaceError(error, `keep what a snapshot of ${path} needs in`, stateDirectory)
}
