import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { runGit } from '../git/private/git-command.ts'

export interface ThreeTexts {
  /** What both sides began from. */
  readonly base: Uint8Array
  readonly ours: Uint8Array
  readonly theirs: Uint8Array
}

/** As git decides it: by a zero byte near the beginning. */
const LOOKED_AT_BYTES = 8000

export function isBinary(content: Uint8Array): boolean {
  return content.subarray(0, LOOKED_AT_BYTES).includes(0)
}

/**
 * Merges line by line, byte for byte, with `git merge-file`: what people get from git, in a process that can be
 * stopped, however bad the texts are for comparing. The three lie under fixed names in a private directory, and no
 * configuration or attribute of anybody is read.
 * @returns `null` when both sides changed the same lines
 * @throws `UNSUPPORTED` when git is not installed
 */
export async function mergeText(
  directory: string,
  { base, ours, theirs }: ThreeTexts,
  signal?: AbortSignal,
): Promise<Uint8Array | null> {
  const place = mkdtempSync(join(directory, 'merge-'))
  try {
    for (const [name, content] of Object.entries({ base, ours, theirs }))
      writeFileSync(join(place, name), content, { mode: 0o600, flag: 'wx' })
    return await runGit({
      args: ['merge-file', '-p', '-q', 'ours', 'base', 'theirs'],
      cwd: place,
      configuration: 'private',
      environment: { GIT_CEILING_DIRECTORIES: dirname(place) },
      signal,
    })
  } catch (error) {
    if (isConflict(error)) return null
    throw error
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

/** The exit code is the number of conflicts, up to 127. */
function isConflict(error: unknown): boolean {
  if (!WorkspaceError.is(error, 'UNAVAILABLE')) return false
  const exit = Number(error.details['exit'])
  return exit >= 1 && exit <= 127
}
