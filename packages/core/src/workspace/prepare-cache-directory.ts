import { mkdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { prepareStateDirectory } from '../filesystem/state-directory.ts'
import { resolveWorkspaceRoot } from '../filesystem/workspace-root.ts'

/**
 * Where saves and loads note what they have seen of a directory; without it they read every file.
 * @returns `undefined` where there can be none
 * @throws `INVALID_INPUT` as `prepareStateDirectory`
 */
export async function prepareCacheDirectory(
  workspacePath: string,
  stateDir: string | undefined,
): Promise<string | undefined> {
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
