import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { prepareStateDirectory } from '../filesystem/state-directory.ts'
import { resolveWorkspaceRoot } from '../filesystem/workspace-root.ts'
import type { WorkspaceState } from '../snapshot/collect-state.ts'
import type { WorkspaceOptions } from './workspace-options.ts'

export type FoundState = Pick<WorkspaceState, 'path' | 'stateDirectory'>

/**
 * The workspace and its private state, for what can do without.
 * @returns `undefined` where there can be none
 * @throws `INVALID_INPUT` as `prepareStateDirectory`
 */
export async function findState({
  path: workspacePath,
  stateDir,
}: Pick<WorkspaceOptions, 'path' | 'stateDir'>): Promise<FoundState | undefined> {
  const root = await resolveWorkspaceRoot(workspacePath).catch(() => null)
  // A directory that a load is about to make.
  const parent = root === null ? await realpath(dirname(workspacePath)).catch(() => null) : null
  const path = root ?? (parent === null ? null : join(parent, basename(workspacePath)))
  if (path === null) return undefined
  try {
    return { path, stateDirectory: await prepareStateDirectory(path, stateDir) }
  } catch (error) {
    if (WorkspaceError.is(error, 'INVALID_INPUT')) throw error
    return undefined
  }
}

/**
 * Where saves and loads note what they have seen of a directory; without it they read every file.
 * @returns `undefined` where there can be none
 */
export async function prepareCacheDirectory(state: FoundState | undefined): Promise<string | undefined> {
  if (state === undefined) return undefined
  const directory = join(state.stateDirectory, 'versions')
  const isThere = await mkdir(directory, { recursive: true, mode: 0o700 }).then(
    () => true,
    () => false,
  )
  return isThere ? directory : undefined
}
