import { existsSync, lstatSync, mkdirSync, readdirSync, statSync, type BigIntStats } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describeValue } from '../../../describe-value.ts'
import { WorkspaceError } from '../../../errors.ts'
import { closeDirectory, openRealRoot, openRoot, toByteString } from '../../../filesystem/directory-handle.ts'
import { toWorkspaceError } from '../../../filesystem/filesystem-error.ts'
import { refusePermissionModel } from '../../../filesystem/permission-model.ts'
import type { DirectoryUpdate, EntryFields, UpdateJournal } from '../../../filesystem/update-journal.ts'
import { removeEmptyDirectories } from '../../../filesystem/remove-empty-directories.ts'
import { setTime } from '../../../filesystem/set-fields.ts'
import { fieldsOf } from './load-plan.ts'
import { timeSlice } from '../../../filesystem/time-slice.ts'
import {
  abandonWorkDirectory,
  createWorkDirectory,
  recoverDirectory,
  resolveTarget,
  type WorkDirectory,
} from '../../../filesystem/work-directory.ts'
import { isWorkDirectoryName } from '../../../filesystem/work-name.ts'
import { refuseHome } from '../../../filesystem/workspace-root.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { changedUnderWay } from './changed-under-way.ts'
import { createContentCheck } from './check-file.ts'
import { compareDirectory } from './compare-directory.ts'
import { useKnownTree } from '../known/known-trees.ts'
import { waitForTick } from './load-memory.ts'
import type { LoadDirectoryOptions, LoadedDirectory } from './load-options.ts'
import { prepare, report, type LoadClock, type LoadParts, type LoadTask } from './load-parts.ts'
import { createOpenedDirectories, type OpenedDirectories } from './opened-directories.ts'
import { selectPaths } from '../read/path-selection.ts'
import { HalfDone, putInPlace, updateInPlace } from './put-in-place.ts'
import { rootOf } from '../read/read-tree.ts'
import type { Repository } from '../repository/repository.ts'
import { stageSubtree } from './stage-subtree.ts'

/**
 * Gives a directory the content of a version; makes it when it is absent.
 *
 * - **Nothing is touched before everything new is there.** What the directory lacks is made in a private directory on the
 *   same file system, every byte checked against its id; only then is it put in place.
 * - **Old or new.** An absent or empty directory is replaced in one step. In a full one only what differs is exchanged,
 *   by renames that are written down before the first is made: any error takes them back, and when the process is killed,
 *   the next load of the directory ends them (`recovered: 'completed'`) or finds that none was made (`'undone'`). What
 *   somebody else has meanwhile put in the place of what is new stays: `CONFLICT`, `details.paths`.
 *   Power failures are not covered: nothing is flushed to the disk.
 * - **Cheap.** A file that was not touched since the last load or save is not read; other files are, and are left alone
 *   when they have the content already. Content that a changed file shares with the version is taken from the file.
 * - **What no save has taken stays**: what matches `exclude`, sockets, pipes and devices, and what this user may not read:
 *   closed files, and what the version does not hold in directories that are closed; `left` lists it. Where a special or
 *   closed file, or a closed directory, stands in the way of the version, or such content in a directory that has to go,
 *   nothing is changed. What the version holds in directories that their own owner closed comes back all the same.
 * - **Nothing outside is written**, whatever the stored tree says and whoever exchanges directories for links meanwhile.
 * - Comes back: content, permission bits, times to the microsecond, links as text, hard links, holes, empty directories.
 *   Does not: owners; set-uid, set-gid and sticky bits of what is written (reported as `changed`).
 *
 * @param settled what else the call depends on: when it rejects, nothing is changed
 * @throws `INVALID_INPUT` for the home directory, one above it or the root of a file system
 * @throws `CORRUPT` for damage (details: `key` of the object, `files`), unless `onDamage` is `skip`
 * @throws `NOT_FOUND` when the version has nothing at one of `paths`
 * @throws `CONFLICT` when somebody changes the directory meanwhile; when something that stays is in the way; when merging, or loading only some paths, would have
 * to remove something else
 * @throws `QUOTA_EXCEEDED` for a limit or a full disk; `ACCESS_DENIED`, `UNSUPPORTED` as the file system says, and before
 * anything is changed where a directory of somebody else would have to go that this user cannot empty
 */
export async function loadDirectory(
  repository: Repository,
  record: VersionRecord,
  directory: string,
  options: LoadDirectoryOptions,
  settled: Promise<unknown> = Promise.resolve(),
): Promise<LoadedDirectory> {
  const { mode = 'exact', signal } = options
  if (mode !== 'exact' && mode !== 'merge') {
    throw new WorkspaceError('INVALID_INPUT', `The mode ${describeValue(mode)} is unknown.`)
  }
  refusePermissionModel('A load')
  signal?.throwIfAborted()
  const selection = selectPaths(options.paths)
  const given = resolve(directory)
  const clock: LoadClock = { probe: null, lastChangeNs: 0n }
  try {
    const recovered = await recoverDirectory(given)
    const target = resolveTarget(given)
    refuseHome(target)
    refuseDangling(target)
    const loaded = await useKnownTree(
      options.cacheDirectory,
      repository.marker.repository,
      (known) =>
        loadInto({
          repository,
          record,
          target,
          selection,
          known,
          options,
          settled,
          clock,
        }),
      timeSlice(),
    )
    // Last of all: what else there was to do has taken most of a tick.
    if (clock.probe !== null) await waitForTick(clock.probe, clock.lastChangeNs)
    return { ...loaded, recovered }
  } catch (error) {
    throw toWorkspaceError(error, 'load into', given)
  } finally {
    if (clock.probe !== null) closeDirectory(clock.probe)
  }
}

/** Nothing can be put in the place of a link that was not asked for. */
function refuseDangling(target: string): void {
  if (lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `Cannot load into ${JSON.stringify(target)}: it is a link that leads nowhere. Make the directory that it leads to, or remove the link.`,
    { details: { path: target } },
  )
}

async function loadInto(task: LoadTask): Promise<Omit<LoadedDirectory, 'recovered'>> {
  const { target } = task
  const isPresent = existsSync(target)
  const opened = createOpenedDirectories(target)
  const made = mkdirSync(dirname(target), { recursive: true })
  try {
    return await loadWithin(task, isPresent, opened)
  } catch (error) {
    if (made !== undefined) removeEmptyDirectories(dirname(target), made)
    throw error
  } finally {
    opened.putBack(false)
  }
}

async function loadWithin(
  task: LoadTask,
  isPresent: boolean,
  opened: OpenedDirectories,
): Promise<Omit<LoadedDirectory, 'recovered'>> {
  const { target } = task
  const isFull = isPresent && holdsEntries(target)
  const before = isPresent ? lstatSync(target, { bigint: true }) : null
  let time: Omit<EntryFields, 'mode'> | null = before === null ? null : fieldsOf(before)
  const work = createWorkDirectory(target, false)
  let keepsWork = false
  try {
    const fresh = openRoot(toByteString(join(work.path, 'new')))
    const parts = prepare(task, fresh, isFull)
    try {
      if (isFull && before !== null) await compare(task, parts, opened, before)
      else await stageSubtree(parts, rootOf(task.record), 0, task.selection)
      parts.enter('fetch')
      await parts.stage.finish()
      await task.settled
      task.options.signal?.throwIfAborted()
    } finally {
      await parts.stage.close()
      closeDirectory(fresh)
    }
    parts.enter('apply')
    const journal = isFull ? parts.plan.journal(join(work.path, 'new')) : null
    if (journal !== null) await updateInPlace(work, target, journal)
    else if (!isFull) putInPlace(work, target, isPresent, task.selection === 'all' ? task.record.root : null)
    time = isFull ? (rootUpdate(journal)?.after ?? time) : timeOfVersion(task)
    if (!isFull && task.selection === 'all') parts.stage.noteDropped('', task.record.root.mode)
    opened.putBack(true)
    await remember(task, parts, work)
    return report(task.record, parts, journal)
  } catch (error) {
    keepsWork = error instanceof HalfDone
    throw changedUnderWay(error, target)
  } finally {
    if (keepsWork) abandonWorkDirectory(work.path)
    else {
      await work.remove()
      // That it lay inside has changed the time once more.
      if (work.isInside && time !== null) setTime(target, time)
    }
  }
}

function rootUpdate(journal: UpdateJournal | null): DirectoryUpdate | undefined {
  return journal?.directories.find(({ path }) => path.length === 0)
}

/** `null` where only a part of the version is loaded, which says nothing about the directory itself. */
function timeOfVersion({ record, selection }: LoadTask): Omit<EntryFields, 'mode'> | null {
  const { mtimeSeconds, mtimeNanoseconds } = record.root
  return selection === 'all' ? { seconds: mtimeSeconds, nanoseconds: mtimeNanoseconds } : null
}

async function compare(
  { repository, record, target, selection, options }: LoadTask,
  parts: LoadParts,
  opened: OpenedDirectories,
  before: BigIntStats,
): Promise<void> {
  const handle = openRealRoot(toByteString(target))
  try {
    const content = createContentCheck(repository.keys, parts.slice)
    const context = { ...parts, opened, target: toByteString(target), mode: options.mode ?? 'exact', content }
    await compareDirectory(context, rootOf(record), record.root, handle, before, selection)
  } finally {
    closeDirectory(handle)
  }
}

/** Only of a directory that is the version as a whole. */
async function remember(
  { options, selection, target, record, clock }: LoadTask,
  parts: LoadParts,
  work: WorkDirectory,
): Promise<void> {
  const { mode = 'exact', cacheDirectory } = options
  if (cacheDirectory === null || selection !== 'all' || mode !== 'exact') return
  const isWhole =
    parts.stage.outcome.damaged.length === 0 && !parts.left.entries.some(({ isInVersion }) => isInVersion)
  if (!isWhole) return
  clock.probe = openRoot(toByteString(work.path))
  clock.lastChangeNs = await parts.memory.conclude(target, record, parts.locator)
}

function holdsEntries(target: string): boolean {
  if (statSync(target).isDirectory()) return readdirSync(target).some((name) => !isWorkDirectoryName(name))
  throw new WorkspaceError(
    'INVALID_INPUT',
    `Cannot load into ${JSON.stringify(target)}: it is not a directory.`,
  )
}
