import { createHash } from 'node:crypto'
import { lstat, mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { futureRealPath, isInside } from './workspace-root.ts'

/**
 * Where a workspace's private state lives (snapshot objects, manifests, locks), created with mode 0700 if it is not there.
 * One directory for each workspace directory, by the hash of its real path.
 * @param root real path of the workspace
 * @param stateDir the base directory; default `$XDG_STATE_HOME/ws`, else `~/.local/state/ws`, on Windows `%LOCALAPPDATA%\ws`
 * @throws `INVALID_INPUT` when the state would lie inside the workspace, where it would capture itself, or the workspace
 * inside of it, where it would be collected.
 */
export async function prepareStateDirectory(
  root: string,
  stateDir: string = defaultStateDirectory(),
): Promise<string> {
  if (stateDir === '')
    throw new WorkspaceError(
      'INVALID_INPUT',
      'The state directory is an empty string; leave it out or name one.',
    )
  const wanted = resolve(stateDir)
  // Before anything is made there, through whatever links.
  refuseInside(root, futureRealPath(wanted))
  try {
    await mkdir(wanted, { recursive: true, mode: 0o700 })
    const base = await realpath(wanted)
    refuseInside(root, base)
    refuseAround(root, base)
    const directory = join(base, createHash('sha256').update(root).digest('hex').slice(0, 32))
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await noteUse(directory, root)
    return directory
  } catch (error) {
    if (WorkspaceError.is(error)) throw error
    const code = (error as NodeJS.ErrnoException).code
    const isFile = code === 'EEXIST' || code === 'ENOTDIR'
    const isFull = code === 'ENOSPC' || code === 'EDQUOT'
    throw new WorkspaceError(
      isFile ? 'INVALID_INPUT' : isFull ? 'QUOTA_EXCEEDED' : 'ACCESS_DENIED',
      `The state directory ${wanted} cannot be used (${isFile ? 'it, or a part of its path, is a file' : code}). Pass another one as stateDir.`,
      {
        cause: error,
        details: { path: wanted },
      },
    )
  }
}

/** Whose state a directory holds, in a file that is touched once a day while it is in use. */
const OWNER_FILE = 'workspace.json'
const TOUCH_MS = 24 * 60 * 60_000

async function noteUse(directory: string, root: string): Promise<void> {
  const path = join(directory, OWNER_FILE)
  const stats = await lstat(path).catch(() => null)
  if (stats !== null && Date.now() - stats.mtimeMs < TOUCH_MS) return
  await writeFile(path, JSON.stringify({ path: root }), { mode: 0o600 })
}

/** @returns `null` where nobody has noted whose it is */
export async function readStateOwner(
  directory: string,
): Promise<{ readonly path: string; readonly usedAt: Date } | null> {
  try {
    const file = join(directory, OWNER_FILE)
    const { path } = JSON.parse(await readFile(file, 'utf8')) as { path?: unknown }
    return typeof path === 'string' ? { path, usedAt: (await lstat(file)).mtime } : null
  } catch {
    return null
  }
}

export function defaultStateDirectory(): string {
  const { XDG_STATE_HOME, LOCALAPPDATA } = process.env
  if (XDG_STATE_HOME !== undefined && isAbsolute(XDG_STATE_HOME)) return join(XDG_STATE_HOME, 'ws')
  if (process.platform === 'win32' && LOCALAPPDATA !== undefined) return join(LOCALAPPDATA, 'ws')
  return join(homedir(), '.local', 'state', 'ws')
}

function refuseInside(root: string, directory: string): void {
  if (!isInside(root, directory)) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The state directory ${directory} lies inside the workspace ${root} and would be captured with it. Choose one outside.`,
    { details: { path: directory } },
  )
}

function refuseAround(root: string, directory: string): void {
  if (!isInside(directory, root)) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The workspace ${root} lies inside the state directory ${directory}, where this library keeps its own files. Choose another place for one of them.`,
    { details: { path: directory } },
  )
}
