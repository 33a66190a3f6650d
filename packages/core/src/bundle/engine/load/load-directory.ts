import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { describeValue } from '../../../describe-value.ts'
import { WorkspaceError } from '../../../errors.ts'
import {
  closeDirectory,
  openRealRoot,
  openRoot,
  toByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { toWorkspaceError } from '../../../filesystem/filesystem-error.ts'
import { showsNamesInChangeTime } from '../../../filesystem/names-in-change-time.ts'
import { timeSlice } from '../../../filesystem/time-slice.ts'
import type { UpdateJournal } from '../../../filesystem/update-journal.ts'
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
import { createChunkLocator } from '../read/chunk-locator.ts'
import { compareDirectory } from './compare-directory.ts'
import type { KnownTree } from '../known/known-tree.ts'
import { useKnownTree } from '../known/known-trees.ts'
import { estimateTreeBytes, holdPackEnds } from '../read/hold-pack-ends.ts'
import { createLeftNotes } from './left-notes.ts'
import { createLoadMemory, waitForTick } from './load-memory.ts'
import type { LoadDirectoryOptions, LoadedDirectory, LoadProgress } from './load-options.ts'
import { createLoadPlan } from './load-plan.ts'
import { selectPaths, type Selection } from '../read/path-selection.ts'
import { HalfDone, putInPlace, updateInPlace } from './put-in-place.ts'
import { createChunkReader } from '../read/read-chunk.ts'
import { rootOf } from '../read/read-tree.ts'
import type { Repository } from '../repository/repository.ts'
import { stageSubtree } from './stage-subtree.ts'
import { createTreeStage } from './stage-tree.ts'
import { createTreeReader } from '../read/tree-reader.ts'

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
 * - **What no save has taken stays**: what matches `exclude`, and sockets, pipes and devices; `left` lists it. Where such a
 *   special file stands in the way of the version, or such content in a directory that has to go, nothing is changed.
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
 * @throws `QUOTA_EXCEEDED` for a limit or a full disk; `ACCESS_DENIED`, `UNSUPPORTED` as the file system says
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
  signal?.throwIfAborted()
  const selection = selectPaths(options.paths)
  const given = resolve(directory)
  const clock: LoadClock = { probe: null, lastChangeNs: 0n }
  try {
    const recovered = await recoverDirectory(given)
    const target = resolveTarget(given)
    refuseHome(target)
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

interface LoadTask {
  readonly repository: Repository
  readonly record: VersionRecord
  /** Real path. */
  readonly target: string
  readonly selection: Selection
  readonly known: KnownTree
  readonly options: LoadDirectoryOptions
  readonly settled: Promise<unknown>
  readonly clock: LoadClock
}

/** What tells when a change would show: see `waitForTick`. */
interface LoadClock {
  probe: DirectoryHandle | null
  lastChangeNs: bigint
}

async function loadInto(task: LoadTask): Promise<Omit<LoadedDirectory, 'recovered'>> {
  const { target } = task
  const isPresent = existsSync(target)
  const isFull = isPresent && holdsEntries(target)
  mkdirSync(dirname(target), { recursive: true })
  const work = createWorkDirectory(target, false)
  let keepsWork = false
  try {
    const fresh = openRoot(toByteString(join(work.path, 'new')))
    const parts = prepare(task, fresh, isFull)
    try {
      if (isFull) await compare(task, parts)
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
    await remember(task, parts, work)
    return report(task.record, parts, journal)
  } catch (error) {
    keepsWork = error instanceof HalfDone
    throw changedUnderWay(error, target)
  } finally {
    if (keepsWork) abandonWorkDirectory(work.path)
    else await work.remove()
  }
}

function prepare(
  { repository: given, record, target, selection, known, options }: LoadTask,
  fresh: DirectoryHandle,
  isFull: boolean,
) {
  const { onDamage = 'fail', signal } = options
  const readsAll = selection === 'all' && !isFull
  const readsTree = readsAll && known.root === '' && given.store.capabilities.remote === true
  const treeBytes = readsTree ? estimateTreeBytes(record.stats) : 0
  const repository = holdPackEnds(given, record.packs, treeBytes)
  const slice = timeSlice(signal)
  const count = () => ({ files: 0, bytes: 0 })
  const tally = { deleted: count(), kept: count(), verified: count() }
  const locator = createChunkLocator(repository, record.packs, signal, readsAll)
  const chunks = createChunkReader(repository, locator, readsAll, signal)
  const memory = createLoadMemory(known, fresh, isFull, isFull && showsNamesInChangeTime(target))
  const tree = createTreeReader(chunks.read, options.limits, memory)
  const plan = createLoadPlan()
  const left = createLeftNotes(options.exclude)
  const { files, symlinks, contentBytes } = record.stats
  let phase: LoadProgress['phase'] = isFull ? 'compare' : 'fetch'
  const onProgress = (): void =>
    options.onProgress?.({
      phase,
      filesDone: tally.kept.files + stage.outcome.files,
      filesExpected: files + symlinks,
      bytesDone: tally.kept.bytes + stage.outcome.bytes + stage.outcome.reusedBytes,
      bytesExpected: contentBytes,
    })
  const enter = (next: LoadProgress['phase']): void => {
    phase = next
    onProgress()
  }
  const stage = createTreeStage({
    repository,
    root: fresh,
    locator,
    tree,
    onDamage,
    expected: readsAll ? { files, bytes: contentBytes } : { files: 0, bytes: 0 },
    onWritten: (place, file, written) => {
      memory.addWritten(place, file, written)
      if (isFull && place.directory === 0) plan.identify(Number(place.name), written)
    },
    onLinked: (place) => memory.addUnsettled(place),
    onDropped: ({ directory, name }) => {
      if (isFull && directory === 0) plan.drop(Number(name))
    },
    onProgress,
    signal,
  })
  return { slice, tally, left, locator, chunks, memory, tree, plan, stage, onProgress, enter }
}

type LoadParts = ReturnType<typeof prepare>

async function compare(
  { repository, record, target, selection, options }: LoadTask,
  parts: LoadParts,
): Promise<void> {
  const handle = openRealRoot(toByteString(target))
  try {
    const content = createContentCheck(repository.keys, parts.slice)
    const context = { ...parts, target: toByteString(target), mode: options.mode ?? 'exact', content }
    await compareDirectory(context, rootOf(record), record.root, handle, selection)
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

function report(
  record: VersionRecord,
  { stage, tally, left, chunks }: LoadParts,
  journal: UpdateJournal | null,
): Omit<LoadedDirectory, 'recovered'> {
  const { files, bytes, reusedBytes, fetchedBytes, changed, damaged } = stage.outcome
  return {
    source: { workspaceId: record.workspaceId, version: record.version },
    written: { files, bytes: bytes + reusedBytes },
    ...tally,
    fieldsChanged: countFields(journal),
    reusedBytes,
    fetchedBytes: fetchedBytes + chunks.fetchedBytes(),
    left: left.entries.sort((one, other) => (one.path < other.path ? -1 : 1)),
    changed,
    damaged,
  }
}

function countFields(journal: UpdateJournal | null): number {
  let count = 0
  for (const { fields } of journal?.directories ?? []) count += fields.length
  return count
}
