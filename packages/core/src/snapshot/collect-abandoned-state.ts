import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { lstat, readdir, realpath, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { WorkspaceError } from '../errors.ts'
import { errnoOf, toWorkspaceError } from '../filesystem/filesystem-error.ts'
import { acquireProcessLock, type ProcessLock } from '../filesystem/process-lock.ts'
import { isAmount, isFilledText, isFlag, isSignal } from '../option-checks.ts'
import { encodePath } from '../filesystem/path-text.ts'
import { defaultStateDirectory, readStateOwner } from '../filesystem/state-directory.ts'

export interface CollectAbandonedOptions {
  /** The base directory, as in `WorkspaceOptions.stateDir`. @default as there */
  readonly stateDir?: string | undefined
  /** Only say what would be removed. @default false */
  readonly dryRun?: boolean | undefined
  /** State that was used since stays, in milliseconds: a directory may come back, with its disk. @default 30 days */
  readonly unusedForMs?: number | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

const collectAbandonedOptionNames: OptionNames<CollectAbandonedOptions> = {
  stateDir: isFilledText,
  dryRun: isFlag,
  unusedForMs: isAmount,
  signal: isSignal,
}

const THIRTY_DAYS_MS = 30 * 24 * 60 * 60_000
const REMOVED = '.removed-'

/**
 * Removes the private state (snapshots included) of workspaces whose directory does not exist any more and that nobody
 * has used for a time. It also runs by itself, once a day, when snapshots are taken.
 * @returns the paths of those workspaces
 * @throws `ACCESS_DENIED`
 */
export async function collectAbandonedState(options: CollectAbandonedOptions = {}): Promise<string[]> {
  assertKnownOptions('collectAbandonedState', options, collectAbandonedOptionNames)
  const { stateDir = defaultStateDirectory(), dryRun = false, unusedForMs = THIRTY_DAYS_MS, signal } = options
  const base = await realpath(stateDir).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null
    throw toWorkspaceError(error, 'look into the state directory', stateDir)
  })
  if (base === null) return []
  const removed: string[] = []
  for (const name of await readdir(base)) {
    signal?.throwIfAborted()
    const directory = join(base, name)
    if (name.startsWith(REMOVED) && !dryRun) await rm(directory, { recursive: true, force: true })
    if (!/^[0-9a-f]{32}$/.test(name)) continue
    const owner = await readStateOwner(directory)
    if (owner === null || Date.now() - owner.usedAt.getTime() < unusedForMs) continue
    if (!(await isGone(owner.path))) continue
    if (dryRun || (await removeUnlessUsed(base, directory))) removed.push(owner.path)
  }
  return removed.toSorted()
}

/** Only where the system says for sure that there is no such path. */
async function isGone(path: string): Promise<boolean> {
  try {
    await lstat(encodePath(path))
    return false
  } catch (error) {
    return errnoOf(error) === 'ENOENT'
  }
}

async function removeUnlessUsed(base: string, directory: string): Promise<boolean> {
  const locks: ProcessLock[] = []
  try {
    for (const [folder, name] of [
      ['locks', 'run'],
      ['git', 'capture'],
      ['bundle', 'capture'],
    ] as const) {
      locks.push(await acquireProcessLock(join(directory, folder), name, { onBusy: 'refuse' }))
    }
    const aside = join(base, `${REMOVED}${randomUUID()}`)
    await rename(directory, aside)
    await rm(aside, { recursive: true, force: true })
    return true
  } catch (error) {
    if (WorkspaceError.is(error, 'BUSY')) return false
    throw toWorkspaceError(error, 'remove', directory)
  } finally {
    for (const lock of locks) await lock.release()
  }
}
