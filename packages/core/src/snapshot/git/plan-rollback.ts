import { readdirSync } from 'node:fs'
import { WorkspaceError } from '../../errors.ts'
import {
  compareBytes,
  fromBytePath,
  joinPath,
  parentOf,
  pathResolver,
  splitRecords,
  type BytePath,
} from './byte-path.ts'
import { isSameStamp, type CapturedEntry } from './file-stamp.ts'
import type { Delta, EntrySide, StoredState } from './compare-states.ts'
import { runGit } from './git-command.ts'
import { lstatIfAllowed, lstatOrNull, stampOf } from './file-stamp.ts'
import { privateCall, type PrivateRepository } from './private-repository.ts'
import { readSidecar, USUAL_DIRECTORY_MODE } from './sidecar.ts'

export interface RollbackPlan {
  /** Files and links to remove, whether or not something takes their place. */
  readonly removals: readonly BytePath[]
  /** Empty directories to remove. */
  readonly directoryRemovals: readonly BytePath[]
  readonly writes: readonly { readonly path: BytePath; readonly side: EntrySide }[]
  readonly modeChanges: readonly { readonly path: BytePath; readonly mode: number }[]
  /** Directories that are to be there, with their modes. */
  readonly directories: readonly { readonly path: BytePath; readonly mode: number }[]
  /** Modes of directories that are not empty in the target, where they are there with another one or must be made. */
  readonly directoryModes: readonly { readonly path: BytePath; readonly mode: number }[]
  /** Directories that the target has, so that they stay when they become empty. */
  readonly targetDirectories: ReadonlySet<BytePath>
  readonly restored: readonly BytePath[]
  readonly deleted: readonly BytePath[]
}

/** What turns the present state into the target, for the given differences between them. */
export async function planRollback(
  source: { readonly path: string; readonly own: PrivateRepository },
  deltas: readonly Delta[],
  target: StoredState,
  isIncluded: (path: BytePath) => boolean,
): Promise<RollbackPlan> {
  const resolve = pathResolver(source.path)
  const targetDirectories = await directoriesOf(source.own, target)
  const directoryModes = findDirectoryModes(source, targetDirectories, target, isIncluded)
  const plan = {
    removals: [] as BytePath[],
    directoryRemovals: [] as BytePath[],
    writes: [] as { path: BytePath; side: EntrySide }[],
    modeChanges: [] as { path: BytePath; mode: number }[],
    directories: [] as { path: BytePath; mode: number }[],
    directoryModes: directoryModes.map(({ path, mode }) => ({ path, mode })),
    targetDirectories,
    restored: directoryModes.filter(({ isThere }) => isThere).map(({ path }) => path),
    deleted: [] as BytePath[],
  }
  for (const { path, before, after } of deltas) {
    assertInside(path)
    if (after === null && before?.type === 'directory') {
      // Its captured content is nothing; what else is in it stays, and so does the directory.
      if (targetDirectories.has(path) || !isEmptyDirectory(resolve(path))) continue
      plan.directoryRemovals.push(path)
      plan.deleted.push(path)
    } else if (after === null) {
      plan.removals.push(path)
      plan.deleted.push(path)
    } else if (after.type === 'directory') {
      const present = lstatOrNull(resolve(path))
      if (present?.isDirectory() === true && Number(present.mode & 0o7777n) === after.mode) continue
      if (before !== null && before.type !== 'directory') plan.removals.push(path)
      plan.directories.push({ path, mode: after.mode })
      plan.restored.push(path)
    } else {
      if (before?.type === 'directory') plan.directoryRemovals.push(path)
      if (before?.type === after.type && before.id === after.id)
        plan.modeChanges.push({ path, mode: after.mode })
      else plan.writes.push({ path, side: after })
      plan.restored.push(path)
    }
  }
  plan.restored.sort(compareBytes)
  return plan
}

/** What {@link RollbackPlan.directoryModes} says; directories that are empty in the target are among its deltas. */
export function findDirectoryModes(
  source: { readonly path: string; readonly own: PrivateRepository },
  targetDirectories: ReadonlySet<BytePath>,
  target: StoredState,
  isIncluded: (path: BytePath) => boolean,
): { path: BytePath; mode: number; isThere: boolean }[] {
  const resolve = pathResolver(source.path)
  const { directories, directoryModes } = readSidecar(source.own, target.sidecar)
  const found: { path: BytePath; mode: number; isThere: boolean }[] = []
  for (const path of targetDirectories) {
    if (directories.has(path) || !isIncluded(path)) continue
    const mode = directoryModes.get(path) ?? USUAL_DIRECTORY_MODE
    const stats = lstatIfAllowed(resolve(path))
    if (stats === 'denied') continue
    const isThere = stats !== null && stats.isDirectory()
    if (!isThere || Number(stats.mode & 0o7777n) !== mode) found.push({ path, mode, isThere })
  }
  return found
}

interface Present {
  readonly entries: ReadonlyMap<BytePath, CapturedEntry>
  readonly unread: ReadonlySet<BytePath>
}

/**
 * Looks at each place that the plan touches, and changes nothing.
 * @throws `CONFLICT` when something in the way was not captured, or changed since the capture; details name the paths
 */
export function preflight(root: string, plan: RollbackPlan, { entries, unread }: Present): void {
  const resolve = pathResolver(root)
  const going = new Set([...plan.removals, ...plan.directoryRemovals])
  const obstructions = new Set<BytePath>()
  for (const path of [...plan.removals, ...plan.modeChanges.map((change) => change.path)]) {
    const stats = lstatOrNull(resolve(path))
    const entry = entries.get(path)
    if (stats === null || entry === undefined || !isSameStamp(entry, stampOf(stats))) obstructions.add(path)
  }
  const isClear = (path: BytePath): boolean => {
    if (path === '') return true
    const parent = parentOf(path)
    if (!isClear(parent) || going.has(parent)) return true
    const stats = lstatOrNull(resolve(path))
    if (stats === null || stats.isDirectory() || going.has(path)) return true
    obstructions.add(path)
    return false
  }
  // What could not be read is in no snapshot as it is now.
  for (const path of [...plan.removals, ...plan.writes.map((write) => write.path)])
    if (unread.has(path)) obstructions.add(path)
  for (const { path } of plan.directories) isClear(path)
  for (const { path } of plan.writes) {
    if (!isClear(parentOf(path))) continue
    const stats = lstatOrNull(resolve(path))
    if (stats === null || hasGoingAncestor(path, going)) continue
    if (stats.isDirectory()) for (const left of remaining(resolve, path, going)) obstructions.add(left)
    else {
      const entry = entries.get(path)
      if (entry === undefined || !isSameStamp(entry, stampOf(stats))) obstructions.add(path)
    }
  }
  if (obstructions.size === 0) return
  const paths = [...obstructions].toSorted().map(fromBytePath)
  throw new WorkspaceError(
    'CONFLICT',
    `The rollback stopped before it changed anything: ${list(paths)} ${paths.length === 1 ? 'is' : 'are'} in the way and no snapshot holds ${paths.length === 1 ? 'it' : 'them'} as found. Move or remove ${paths.length === 1 ? 'it' : 'them'}, then roll back again.`,
    { details: { paths } },
  )
}

export function list(paths: readonly string[]): string {
  const shown = paths
    .slice(0, 5)
    .map((path) => JSON.stringify(path))
    .join(', ')
  return paths.length > 5 ? `${shown} and ${paths.length - 5} more` : shown
}

function hasGoingAncestor(path: BytePath, going: ReadonlySet<BytePath>): boolean {
  for (let parent = parentOf(path); parent !== ''; parent = parentOf(parent))
    if (going.has(parent)) return true
  return false
}

/** What would still be in a directory after the removals. */
function remaining(
  resolve: (path: BytePath) => string | Buffer,
  directory: BytePath,
  going: ReadonlySet<BytePath>,
): BytePath[] {
  return readdirSync(resolve(directory), { encoding: 'buffer', withFileTypes: true }).flatMap((item) => {
    const path = joinPath(directory, item.name.toString('latin1'))
    if (item.isDirectory()) return remaining(resolve, path, going)
    return going.has(path) ? [] : [path]
  })
}

export async function directoriesOf(own: PrivateRepository, target: StoredState): Promise<Set<BytePath>> {
  const output = await runGit(privateCall(own, ['ls-tree', '-r', '-d', '-z', '--name-only', target.tree]))
  const directories = new Set<BytePath>(splitRecords(output))
  for (const leaf of readSidecar(own, target.sidecar).directories.keys()) {
    for (let path = leaf; path !== ''; path = parentOf(path)) directories.add(path)
  }
  return directories
}

export function isEmptyDirectory(path: string | Buffer): boolean {
  try {
    return readdirSync(path).length === 0
  } catch {
    return false
  }
}

/** Trees are made by this library, but they are read from files. */
function assertInside(path: BytePath): void {
  const isUnsafe = path
    .split('/')
    .some((part) => part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git')
  if (!isUnsafe) return
  throw new WorkspaceError(
    'UNSAFE_PATH',
    `A snapshot names ${JSON.stringify(fromBytePath(path))}, where a rollback must not write.`,
    {
      details: { path: fromBytePath(path) },
    },
  )
}
