import { mkdir, realpath } from 'node:fs/promises'
import { WorkspaceError } from '../errors.ts'
import { toWorkspaceError } from '../filesystem/filesystem-error.ts'
import { bytesOf } from '../filesystem/native-bytes.ts'
import { decodePath, encodePath } from '../filesystem/path-text.ts'

/** Where a backend looks and where it keeps what it finds, as real paths. */
export interface BackendDirectories {
  /** The workspace. */
  readonly root: string
  /** The backend's own directory. */
  readonly directory: string
  /** Relative path of the state directory when it lies inside the workspace. */
  readonly ownPath: string | null
}

/**
 * @param part of the state directory that is the backend's own; made if need be, with mode 0700
 * @throws `INVALID_INPUT` for a state directory that is the workspace or holds it, `NOT_FOUND` when there is no
 * workspace, `ACCESS_DENIED`
 */
export async function prepareBackendDirectories(
  { path, stateDirectory }: { readonly path: string; readonly stateDirectory: string },
  part: string,
): Promise<BackendDirectories> {
  const root = await resolveRealPath(path, 'open the workspace')
  try {
    await mkdir(`${stateDirectory}/${part}`, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw toWorkspaceError(error, 'use the state directory', stateDirectory)
  }
  const state = await resolveRealPath(stateDirectory, 'use the state directory')
  if (root === state || root.startsWith(`${state}/`)) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `The state directory ${state} is the workspace or holds it. Choose another one.`,
      { details: { path: state } },
    )
  }
  const ownPath = state.startsWith(`${root}/`) ? state.slice(root.length + 1) : null
  return { root, directory: `${state}/${part}`, ownPath }
}

async function resolveRealPath(path: string, action: string): Promise<string> {
  try {
    return decodePath(bytesOf(await realpath(encodePath(path), { encoding: 'buffer' })))
  } catch (error) {
    throw toWorkspaceError(error, action, path)
  }
}
