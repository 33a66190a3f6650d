import type { DirectoryHandle } from '../../../filesystem/directory-handle.ts'
import { showsNamesInChangeTime } from '../../../filesystem/names-in-change-time.ts'
import { timeSlice } from '../../../filesystem/time-slice.ts'
import type { UpdateJournal } from '../../../filesystem/update-journal.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { createChunkLocator } from '../read/chunk-locator.ts'
import type { KnownTree } from '../known/known-tree.ts'
import { estimateTreeBytes, holdPackEnds } from '../read/hold-pack-ends.ts'
import { createLeftNotes } from './left-notes.ts'
import { createLoadMemory } from './load-memory.ts'
import type { LoadDirectoryOptions, LoadedDirectory, LoadProgress } from './load-options.ts'
import { createLoadPlan } from './load-plan.ts'
import type { Selection } from '../read/path-selection.ts'
import { createChunkReader } from '../read/read-chunk.ts'
import type { Repository } from '../repository/repository.ts'
import { createTreeStage } from './stage-tree.ts'
import { createTreeReader } from '../read/tree-reader.ts'

export interface LoadTask {
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
export interface LoadClock {
  probe: DirectoryHandle | null
  lastChangeNs: bigint
}

/** What a load works with. */
export function prepare(
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

export type LoadParts = ReturnType<typeof prepare>

export function report(
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
