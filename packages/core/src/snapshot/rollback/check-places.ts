import { lstatSync, readdirSync, type BigIntStats } from 'node:fs'
import { createDirectoryCursor, type DirectoryCursor } from '../../filesystem/directory-cursor.ts'
import { WorkspaceError } from '../../errors.ts'
import { childPath, openRealRoot, toFilePath, type ByteString } from '../../filesystem/directory-handle.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { timeSlice, type TimeSlice } from '../../filesystem/time-slice.ts'
import { compareBytes, joinPath, nameOf, parentOf, toBytePath } from '../byte-path.ts'
import { adviseAccess, closedIn } from './explain-closed.ts'
import { listPaths, shownPath } from './list-paths.ts'
import type { RollbackPlan } from './plan-rollback.ts'
import type { LeafEntry, PresentState } from './rollback-source.ts'

/**
 * Looks at each place that the plan touches, and changes nothing.
 * @throws `CONFLICT` when something in the way was not captured, or changed since the capture; details name the paths
 */
export async function checkPlaces(
  root: string,
  plan: RollbackPlan,
  guard: PresentState,
  signal?: AbortSignal,
): Promise<void> {
  const cursor = createDirectoryCursor(toBytePath(root), openRealRoot)
  try {
    const obstructions = await findObstructions(cursor, plan, guard, timeSlice(signal))
    if (obstructions.size > 0) throw inTheWay([...obstructions], guard)
  } finally {
    cursor.close()
  }
}

async function findObstructions(
  cursor: DirectoryCursor,
  plan: RollbackPlan,
  guard: PresentState,
  slice: TimeSlice,
): Promise<ReadonlySet<ByteString>> {
  const going = new Set(plan.removals.map(({ path }) => path))
  const obstructions = new Set<ByteString>()
  const clear = new Map<ByteString, boolean>([['', true]])
  /** Whether a directory is there, can be made there, or takes the place of something that goes. */
  const isClear = (path: ByteString): boolean => {
    const known = clear.get(path)
    if (known !== undefined) return known
    let result = isClear(parentOf(path))
    if (result && !going.has(path)) {
      const stats = look(cursor, path)
      if (stats === 'unreadable') obstructions.add(parentOf(path))
      else if (stats !== null && !stats.isDirectory()) obstructions.add(path)
      result = stats === null || (stats !== 'unreadable' && stats.isDirectory())
    }
    clear.set(path, result)
    return result
  }
  const checkLeaf = async (path: ByteString, entry: LeafEntry, isContentAtStake: boolean): Promise<void> => {
    if (!(await isAsCaptured(cursor, path, entry, guard, isContentAtStake))) obstructions.add(path)
  }

  for (const { path, entry, isReplaced } of plan.removals) {
    await slice.pauseWhenDue()
    if (entry.type !== 'directory') await checkLeaf(path, entry, true)
    else if (isReplaced) for (const left of remaining(cursor, path, going)) obstructions.add(left)
  }
  for (const { path, before } of plan.modeChanges) await checkLeaf(path, before, false)
  for (const { path } of plan.directories) isClear(path)
  for (const { path, before } of plan.writes) {
    await slice.pauseWhenDue()
    if (!isClear(parentOf(path))) continue
    if (before !== null) await checkLeaf(path, before, true)
    else if (!going.has(path) && !hasGoingAncestor(path, going)) {
      const stats = look(cursor, path)
      if (stats === 'unreadable') obstructions.add(parentOf(path))
      else if (stats !== null && stats.isDirectory())
        for (const left of remaining(cursor, path, going)) obstructions.add(left)
      else if (stats !== null) obstructions.add(path)
    }
  }
  return obstructions
}

/** What is at a path, reached through real directories only; `null`: nothing. */
function look(cursor: DirectoryCursor, path: ByteString): BigIntStats | null | 'unreadable' {
  try {
    return lstatSync(childPath(cursor.open(parentOf(path)), nameOf(path)), { bigint: true })
  } catch (error) {
    const errno = errnoOf(error) ?? ''
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errno)) return null
    if (['EACCES', 'EPERM'].includes(errno)) return 'unreadable'
    throw error
  }
}

async function isAsCaptured(
  cursor: DirectoryCursor,
  path: ByteString,
  entry: LeafEntry,
  guard: PresentState,
  isContentAtStake: boolean,
): Promise<boolean> {
  const stats = look(cursor, path)
  if (stats === null || stats === 'unreadable') return false
  if (entry.type === 'symlink' ? !stats.isSymbolicLink() : !stats.isFile()) return false
  const file = childPath(cursor.open(parentOf(path)), nameOf(path))
  return guard.isAsCaptured({ path, file, stats }, entry, isContentAtStake)
}

/** What would still be in a directory after the removals. */
function remaining(
  cursor: DirectoryCursor,
  directory: ByteString,
  going: ReadonlySet<ByteString>,
): ByteString[] {
  let items
  try {
    items = readdirSync(toFilePath(cursor.open(directory).base), { encoding: 'latin1', withFileTypes: true })
  } catch {
    return [directory]
  }
  return items.flatMap((item) => {
    const path = joinPath(directory, item.name)
    if (item.isDirectory() && going.has(path)) return remaining(cursor, path, going)
    return going.has(path) ? [] : [path]
  })
}

function hasGoingAncestor(path: ByteString, going: ReadonlySet<ByteString>): boolean {
  for (let parent = parentOf(path); parent !== ''; parent = parentOf(parent))
    if (going.has(parent)) return true
  return false
}

function inTheWay(places: readonly ByteString[], guard: PresentState): WorkspaceError {
  const sorted = places.toSorted(compareBytes)
  const paths = sorted.map(shownPath)
  const closed = sorted.filter(closedIn(guard)).map(shownPath)
  const [verb, pronoun] = paths.length === 1 ? ['is', 'it'] : ['are', 'them']
  const advice =
    closed.length > 0
      ? `${listPaths(closed)} cannot be read. ${adviseAccess(closed)}`
      : `Move or remove ${pronoun}, then roll back again.`
  return new WorkspaceError(
    'CONFLICT',
    `The rollback stopped before it changed anything: ${listPaths(paths)} ${verb} in the way and no snapshot holds ${pronoun} as found. ${advice}`,
    { details: { paths } },
  )
}
