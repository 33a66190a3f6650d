import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { SaveOptions } from '../bundle/bundle-store.ts'
import { WorkspaceError } from '../errors.ts'
import { prepareStateDirectory } from '../filesystem/state-directory.ts'
import { resolveWorkspaceRoot } from '../filesystem/workspace-root.ts'
import type { WorkspaceOptions } from './workspace-options.ts'

/**
 * Where saves and loads note what they have seen of a directory; without it they read every file.
 * @returns `undefined` where there can be none
 * @throws `INVALID_INPUT` as `prepareStateDirectory`
 */
export async function prepareCacheDirectory({
  path: workspacePath,
  stateDir,
}: Pick<WorkspaceOptions, 'path' | 'stateDir'>): Promise<string | undefined> {
  const root = await resolveWorkspaceRoot(workspacePath).catch(() => null)
  // A directory that a load is about to make.
  const parent = root === null ? await realpath(dirname(workspacePath)).catch(() => null) : null
  const path = root ?? (parent === null ? null : join(parent, basename(workspacePath)))
  if (path === null) return undefined
  try {
    const directory = join(await prepareStateDirectory(path, stateDir), 'versions')
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return directory
  } catch (error) {
    if (WorkspaceError.is(error, 'INVALID_INPUT')) throw error
    return undefined
  }
}

/** What a save or load is given, and of the workspace what it is not given; `undefined` is not given. */
export async function withSettings<Given extends Pick<SaveOptions, 'exclude' | 'cacheDirectory'>>(
  workspace: Pick<WorkspaceOptions, 'path' | 'stateDir' | 'exclude'>,
  given: Given,
): Promise<Given> {
  const { exclude = workspace.exclude, cacheDirectory = await prepareCacheDirectory(workspace) } = given
  return { ...given, exclude, cacheDirectory }
}
