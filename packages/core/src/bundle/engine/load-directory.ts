import {
  chownSync,
  existsSync,
  fchmodSync,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { applyUpdate, undoUpdate } from '../../filesystem/apply-update.ts'
import { closeDirectory, openRoot, toByteString } from '../../filesystem/directory-handle.ts'
import { fileTime } from '../../filesystem/file-time.ts'
import { toWorkspaceError } from '../../filesystem/filesystem-error.ts'
import { swapDirectory } from '../../filesystem/swap-directory.ts'
import { timeSlice } from '../../filesystem/time-slice.ts'
import { closeJournal, writeJournal, type UpdateJournal } from '../../filesystem/update-journal.ts'
import {
  abandonWorkDirectory,
  createWorkDirectory,
  isWorkDirectoryName,
  recoverDirectory,
  resolveTarget,
  type WorkDirectory,
} from '../../filesystem/work-directory.ts'
import type { VersionRecord } from '../format/version-record.ts'
import { createContentCheck } from './check-file.ts'
import { createChunkLocator } from './chunk-locator.ts'
import { compareDirectory } from './compare-directory.ts'
import type { KnownTree } from './known-tree.ts'
import { useKnownTree } from './known-trees.ts'
import { createLoadMemory } from './load-memory.ts'
import type { LoadDirectoryOptions, LoadedDirectory, LoadProgress } from './load-options.ts'
import { createLoadPlan } from './load-plan.ts'
import { selectPaths, type Selection } from './path-selection.ts'
import { createChunkReader } from './read-chunk.ts'
import type { Repository } from './repository.ts'
import { stageSubtree } from './stage-subtree.ts'
import { createTreeStage, KEPT_MODE_BITS, type TreeStage } from './stage-tree.ts'
import { createTreeReader, type TreeDirectory } from './tree-reader.ts'

/**
 * Gives a directory the content of a version; makes it when it is absent.
 *
 * - **Nothing is touched before everything new is there.** What the directory lacks is made in a private directory on the
 *   same file system, every byte checked against its id; only then is it put in place.
 * - **Old or new.** An absent or empty directory is replaced in one step. In a full one only what differs is exchanged,
 *   by renames that are written down before the first is made: any error takes them back, and when the process is killed,
 *   the next load of the directory ends them (`recovered: 'completed'`) or finds that none was made (`'undone'`).
 *   Power failures are not covered: nothing is flushed to the disk.
 * - **Cheap.** A file that was not touched since the last load or save is not read; other files are, and are left alone
 *   when they have the content already. Content that a changed file shares with the version is taken from the file.
 * - **Nothing outside is written**, whatever the stored tree says and whoever exchanges directories for links meanwhile.
 * - Comes back: content, permission bits, times to the microsecond, links as text, hard links, holes, empty directories.
 *   Does not: owners; set-uid, set-gid and sticky bits of what is written (reported as `changed`).
 *
 * @throws `CORRUPT` for damage (details: `key` of the object, `files`), unless `onDamage` is `skip`
 * @throws `NOT_FOUND` when the version has nothing at one of `paths`
 * @throws `CONFLICT` when somebody changes the directory meanwhile; when merging, or loading only some paths, would have
 * to remove something else
 * @throws `QUOTA_EXCEEDED` for a limit or a full disk; `ACCESS_DENIED`, `UNSUPPORTED` as the file system says
 */
export async function loadDirectory(
  repository: Repository,
  record: VersionRecord,
  directory: string,
  options: LoadDirectoryOptions,
): Promise<LoadedDirectory> {
  const { mode = 'exact', signal } = options
  if (mode !== 'exact' && mode !== 'merge') {
    throw new WorkspaceError('INVALID_INPUT', `The mode ${JSON.stringify(mode)} is unknown.`)
  }
  signal?.throwIfAborted()
  const selection = selectPaths(options.paths)
  const given = resolve(directory)
  try {
    const recovered = await recoverDirectory(given)
    const target = resolveTarget(given)
    const loaded = await useKnownTree(options.cacheDirectory, repository.marker.repository, (known) =>
      loadInto(repository, record, { target, selection, known }, options),
    )
    return { ...loaded, recovered }
  } catch (error) {
    throw toWorkspaceError(error, 'load into', given)
  }
}

async function loadInto(
  repository: Repository,
  record: VersionRecord,
  { target, selection, known }: { target: string; selection: Selection; known: KnownTree },
  options: LoadDirectoryOptions,
): Promise<Omit<LoadedDirectory, 'recovered'>> {
  const { onDamage = 'fail', mode = 'exact', signal } = options
  const isPresent = existsSync(target)
  if (isPresent && !statSync(target).isDirectory()) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `Cannot load into ${JSON.stringify(target)}: it is not a directory.`,
    )
  }
  const isFull = isPresent && readdirSync(target).some((name) => !isWorkDirectoryName(name))
  mkdirSync(dirname(target), { recursive: true })
  const work = createWorkDirectory(target, false)
  const slice = timeSlice(signal)
  const tally = {
    deleted: { files: 0, bytes: 0 },
    kept: { files: 0, bytes: 0 },
    verified: { files: 0, bytes: 0 },
  }
  const locator = createChunkLocator(repository, record.packs, signal, !isFull && selection === 'all')
  const chunks = createChunkReader(repository, locator, selection === 'all' && !isFull, signal)
  const fresh = openRoot(toByteString(join(work.path, 'new')))
  const memory = createLoadMemory(known, fresh, isFull)
  const tree = createTreeReader(chunks.read, options.limits, memory)
  const plan = createLoadPlan()
  let phase: LoadProgress['phase'] = isFull ? 'compare' : 'fetch'
  const onProgress = (): void =>
    options.onProgress?.({
      phase,
      filesDone: tally.kept.files + stage.outcome.files,
      filesExpected: record.stats.files + record.stats.symlinks,
      bytesDone: tally.kept.bytes + stage.outcome.bytes + stage.outcome.reusedBytes,
      bytesExpected: record.stats.contentBytes,
    })
  const stage = createTreeStage({
    repository,
    root: fresh,
    locator,
    tree,
    onDamage,
    expected:
      isFull || selection !== 'all'
        ? { files: 0, bytes: 0 }
        : { files: record.stats.files, bytes: record.stats.contentBytes },
    onWritten: ({ path }, file, written) => memory.addWritten(path, file, written),
    onLinked: ({ path }) => memory.addUnsettled(path),
    onDropped: ({ directory, name }) => {
      if (isFull && directory === 0) plan.drop(Number(name))
    },
    onProgress,
    signal,
  })
  let keepsWork = false
  try {
    const root: TreeDirectory = { path: '', node: record.root.node, entriesBelow: null, depth: 0 }
    if (isFull) {
      const handle = openRoot(toByteString(target))
      try {
        const content = createContentCheck(repository.keys, slice)
        const context = { mode, tree, stage, plan, memory, content, slice, tally, onProgress }
        await compareDirectory(context, root, record.root, handle, selection)
      } finally {
        closeDirectory(handle)
      }
    } else await stageSubtree({ tree, stage, slice }, root, 0, selection)
    phase = 'fetch'
    await stage.finish(slice)
    signal?.throwIfAborted()
    phase = 'apply'
    onProgress()
    const journal = isFull ? plan.journal() : null
    if (journal !== null) {
      try {
        await update(work, target, journal)
      } catch (error) {
        keepsWork = error instanceof HalfDone
        throw error
      }
    } else if (!isFull) replace(work, target, isPresent, selection === 'all' ? record.root : null)
    const isWhole = selection === 'all' && mode === 'exact' && stage.outcome.damaged.length === 0
    if (isWhole && options.cacheDirectory !== null) await memory.conclude(target, record, locator)
    return report(record, stage, tally, journal, chunks.fetchedBytes())
  } finally {
    await stage.close()
    closeDirectory(fresh)
    if (keepsWork) abandonWorkDirectory(work.path)
    else await work.remove()
  }
}

/** Not even the way back worked; the next load of the directory tries again. */
class HalfDone extends WorkspaceError {}

async function update(work: WorkDirectory, target: string, journal: UpdateJournal): Promise<void> {
  mkdirSync(join(work.path, 'old'), { mode: 0o700 })
  writeJournal(work.path, journal)
  // From here on an abort comes too late: the renames take less time than taking them back.
  try {
    await applyUpdate(work.path, target, journal, 'refuse', timeSlice())
  } catch (error) {
    try {
      await undoUpdate(work.path, target, journal, timeSlice())
    } catch (second) {
      throw new HalfDone(
        'UNAVAILABLE',
        `${JSON.stringify(target)} is between two states: putting files in place failed, and so did taking them back. Load again to end it.`,
        { cause: new AggregateError([error, second]), details: { path: target } },
      )
    }
    throw error
  }
  closeJournal(work.path)
}

function replace(
  work: WorkDirectory,
  target: string,
  isPresent: boolean,
  fields: VersionRecord['root'] | null,
): void {
  const fresh = join(work.path, 'new')
  const old = isPresent ? lstatSync(target, { bigint: true }) : null
  if (
    old !== null &&
    (old.uid !== BigInt(process.geteuid?.() ?? 0) || old.gid !== BigInt(process.getegid?.() ?? 0))
  ) {
    chownSync(fresh, Number(old.uid), Number(old.gid))
  }
  swapDirectory(work.path, target, work.isInside)
  const handle = openRoot(toByteString(target))
  try {
    if (fields === null) {
      if (old === null) fchmodSync(handle.fd, 0o777 & ~process.umask())
      else fchmodSync(handle.fd, Number(old.mode & 0o7777n))
      return
    }
    const time = fileTime(fields.mtimeSeconds, fields.mtimeNanoseconds)
    if ((fstatSync(handle.fd).mode & 0o7777) !== (fields.mode & KEPT_MODE_BITS))
      fchmodSync(handle.fd, fields.mode & KEPT_MODE_BITS)
    futimesSync(handle.fd, time, time)
  } finally {
    closeDirectory(handle)
  }
}

function report(
  record: VersionRecord,
  stage: TreeStage,
  tally: Pick<LoadedDirectory, 'deleted' | 'kept' | 'verified'>,
  journal: UpdateJournal | null,
  treeBytes: number,
): Omit<LoadedDirectory, 'recovered'> {
  const { files, bytes, reusedBytes, fetchedBytes, changed, damaged } = stage.outcome
  return {
    source: { workspaceId: record.workspaceId, version: record.version },
    written: { files, bytes: bytes + reusedBytes },
    ...tally,
    fieldsChanged: countFields(journal),
    reusedBytes,
    fetchedBytes: fetchedBytes + treeBytes,
    changed,
    damaged,
  }
}

function countFields(journal: UpdateJournal | null): number {
  let count = 0
  for (const { fields } of journal?.directories ?? []) count += fields.length
  return count
}
