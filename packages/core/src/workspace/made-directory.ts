import { mkdir, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { toWorkspaceError } from '../filesystem/filesystem-error.ts'
import { isInside } from '../filesystem/workspace-root.ts'

/**
 * Makes a directory, with those above it, unless it is there.
 * @returns what takes away again what had to be made, as far as nothing has come into it
 */
export async function makeDirectory(path: string): Promise<() => Promise<void>> {
  let first: string | undefined
  try {
    first = await mkdir(path, { recursive: true })
  } catch (error) {
    throw toWorkspaceError(error, 'make the directory', path)
  }
  return async () => {
    if (first === undefined) return
    try {
      for (let each = path; isInside(first, each); each = dirname(each)) await rmdir(each)
    } catch {
      // Somebody else has put something there.
    }
  }
}
