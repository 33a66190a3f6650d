import { resolve } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { futureRealPath, isInside } from '../filesystem/workspace-root.ts'

/**
 * The directory that a call names, as an absolute path. An empty name is refused: it would be the working directory of the
 * process, and a load replaces what it is given.
 * @throws `INVALID_INPUT`
 */
export function resolveDirectory(call: string, directory: unknown): string {
  if (typeof directory === 'string' && directory !== '' && !directory.includes('\0'))
    return resolve(directory)
  throw new WorkspaceError(
    'INVALID_INPUT',
    `${call} needs the path of a directory, not ${directory === '' ? 'an empty text' : describe(directory)}.`,
    { details: { option: 'directory' } },
  )
}

function describe(value: unknown): string {
  return typeof value === 'string' ? 'a text with a NUL' : value === null ? 'null' : `of type ${typeof value}`
}

/** @throws `INVALID_INPUT` for a cache that saves of the directory would store, and loads would remove */
export function refuseCacheInside(directory: string, cacheDirectory: string | null | undefined): void {
  if (cacheDirectory === null || cacheDirectory === undefined) return
  if (!isInside(futureRealPath(directory), futureRealPath(cacheDirectory))) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The cache directory ${cacheDirectory} lies inside the directory ${directory}, and would be saved with it. Choose one outside.`,
    { details: { option: 'cacheDirectory', path: cacheDirectory } },
  )
}
