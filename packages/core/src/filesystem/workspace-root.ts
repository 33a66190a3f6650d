import { fchmodSync, mkdirSync, realpathSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, parse, relative, resolve } from 'node:path'
import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'
import {
  anotherPlace,
  childPath,
  closeDirectory,
  openChild,
  openRealRoot,
  toByteString,
} from './directory-handle.ts'
import { errnoOf, toWorkspaceError } from './filesystem-error.ts'

/**
 * The real, absolute path of a directory that may be a workspace.
 *
 * @throws `NOT_FOUND` when there is nothing, `INVALID_INPUT` for a file and as {@link refuseHome} does, `ACCESS_DENIED`.
 */
export async function resolveWorkspaceRoot(path: string): Promise<string> {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new WorkspaceError('INVALID_INPUT', `${describeValue(path)} is not a usable path for a workspace.`)
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
  refuseHome(root)
  return root
}

/**
 * Refuses a directory that is elsewhere by now.
 * @param root as `resolveWorkspaceRoot` gave it
 * @throws `UNSAFE_PATH`, and as that does
 */
export async function assertRealRoot(root: string): Promise<void> {
  if ((await resolveWorkspaceRoot(root)) !== root) throw anotherPlace(root)
}

/**
 * Makes a workspace that was removed anew, empty: then what was in it can be compared, and brought back.
 * @param root as `resolveWorkspaceRoot` gave it
 * @param mode its permissions, as they were
 * @returns whether it was gone
 * @throws `UNSAFE_PATH` where a link has taken the place of a directory above it
 */
export function remakeRoot(root: string, mode: number): boolean {
  let above
  try {
    above = openRealRoot(toByteString(dirname(root)))
  } catch (error) {
    // Whoever needs the workspace says so.
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
  try {
    const name = toByteString(basename(root))
    mkdirSync(childPath(above, name), { mode: 0o700 })
    const made = openChild(above, name)
    fchmodSync(made.fd, mode & 0o7777)
    closeDirectory(made)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  } finally {
    closeDirectory(above)
  }
}

/**
 * Refuses a file system's root, the user's home directory and what is above it: taking one of them for a workspace by
 * mistake makes a tool copy everything a user has, roll it back, or put something else in its place.
 * @param root real and absolute; need not exist
 * @throws `INVALID_INPUT`
 */
export function refuseHome(root: string): void {
  const home = homeDirectory()
  const isTop = root === parse(root).root
  if (!isTop && (home === null || !isInside(root, home))) return
  const what = root === home ? 'the home directory' : isTop ? 'the root of the file system' : `above the home directory ${home}` // prettier-ignore
  throw new WorkspaceError(
    'INVALID_INPUT',
    `${root} is ${what}, which is too much for a workspace. Use a directory below it.`,
    { details: { path: root } },
  )
}

/** `null` for a user without one, as some containers have. */
function homeDirectory(): string | null {
  try {
    const home = homedir()
    return isAbsolute(home) ? futureRealPath(home) : null
  } catch {
    return null
  }
}

/** The real path that something has, or will have when it is made: links are resolved as far as the path exists. */
export function futureRealPath(path: string): string {
  const wanted = resolve(path)
  try {
    return realpathSync(wanted)
  } catch {
    const above = dirname(wanted)
    return above === wanted ? wanted : join(futureRealPath(above), basename(wanted))
  }
}

/** Whether `path` is `directory` or lies below it. Both are absolute and real. */
export function isInside(directory: string, path: string): boolean {
  const way = relative(resolve(directory), resolve(path))
  return way === '' || (!way.startsWith('..') && !isAbsolute(way)) || /^\.\.[^/\\]/.test(way)
}

function unreachable(path: string, error: NodeJS.ErrnoException): WorkspaceError {
  if (error.code === 'ENOENT') {
    const isTilde = /(^|[/\\])~([/\\]|$)/.test(path)
    return new WorkspaceError(
      'NOT_FOUND',
      `There is no directory ${path}. ${isTilde ? 'Only a shell knows "~": write the path of the home directory.' : 'Create it first, or correct the path.'}`,
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
  const known = toWorkspaceError(error, 'use the workspace path', path)
  if (WorkspaceError.is(known)) return known
  return new WorkspaceError(
    'ACCESS_DENIED',
    `The workspace path ${path} cannot be read (${error.code ?? 'unknown'}).`,
    {
      cause: error,
      details: { path },
    },
  )
}
