import { realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, parse, relative, resolve } from 'node:path'
import { WorkspaceError } from '../errors.ts'

/**
 * The real, absolute path of a directory that may be a workspace.
 *
 * A file system's root and the user's home directory are refused: wrapping one of them by mistake makes a tool copy
 * everything a user has, and roll it back.
 * @throws `NOT_FOUND` when there is nothing, `INVALID_INPUT` for a file, a root or the home directory, `ACCESS_DENIED`.
 */
export async function resolveWorkspaceRoot(path: string): Promise<string> {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new WorkspaceError('INVALID_INPUT', `${JSON.stringify(path)} is not a usable path for a workspace.`)
  }
  const root = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    throw unreachable(path, error)
  })
  const info = await stat(root).catch((error: NodeJS.ErrnoException) => {
    throw unreachable(path, error)
  })
  if (!info.isDirectory()) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `The workspace path ${path} is not a directory. Name the directory that holds it.`,
      {
        details: { path },
      },
    )
  }
  const home = await realpath(homedir()).catch(() => homedir())
  if (root === parse(root).root || root === home) {
    const what = root === home ? 'the home directory' : 'the root of the file system'
    throw new WorkspaceError(
      'INVALID_INPUT',
      `${path} is ${what}, which is too much for a workspace. Use a directory below it.`,
      {
        details: { path },
      },
    )
  }
  return root
}

/** Whether `path` is `directory` or lies below it. Both are absolute and real. */
export function isInside(directory: string, path: string): boolean {
  const way = relative(resolve(directory), resolve(path))
  return way === '' || (!way.startsWith('..') && !isAbsolute(way)) || /^\.\.[^/\\]/.test(way)
}

function unreachable(path: string, error: NodeJS.ErrnoException): WorkspaceError {
  if (error.code === 'ENOENT') {
    return new WorkspaceError(
      'NOT_FOUND',
      `There is no directory ${path}. Create it first, or correct the path.`,
      {
        cause: error,
        details: { path },
      },
    )
  }
  if (error.code === 'ENOTDIR') {
    return new WorkspaceError('INVALID_INPUT', `A part of the workspace path ${path} is a file.`, {
      cause: error,
      details: { path },
    })
  }
  return new WorkspaceError(
    'ACCESS_DENIED',
    `The workspace path ${path} cannot be read (${error.code ?? 'unknown'}).`,
    {
      cause: error,
      details: { path },
    },
  )
}
