import { closeSync } from 'node:fs'
import crypto from 'node:crypto'
import { WorkspaceError } from '../../../errors.ts'
import { childPath, type ByteString } from '../../../filesystem/directory-handle.ts'
import { timeSlice } from '../../../filesystem/time-slice.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import { writeAll } from '../../../filesystem/write-all.ts'
import { damagedObject } from '../../format/damaged-object.ts'
import type { FileEntry, Run, SymlinkEntry } from '../../format/tree-node.ts'
import { createContentCheck } from './check-file.ts'
import type { ChunkPlace } from '../read/chunk-locator.ts'
import { damageIn, objectOf } from '../repository/damage.ts'
import { flushStage, startThreads } from './flush-stage.ts'
import { createFile, type FileFields } from './restore-frame.ts'
import {
  dropEntry,
  emptyBatch,
  keptFields,
  noteDropped,
  reportDamage,
  type StagedEntry,
  type StagedPlace,
  type StageOutcome,
  type StageState,
  type TreeStageOptions,
} from './stage-state.ts'
import { createStagingDirectories, exclusively } from './staging-directories.ts'

/** Makes files, links and directories below a private directory, their content checked. */
export interface TreeStage {
  makeDirectory(place: StagedPlace, fields: FileFields): number
  /** Nothing more comes into a directory; it gets its fields when everything in it is written. */
  leaveDirectory(directory: number): void
  /**
   * @param present what is there now: what of its content is the same is taken from there
   * @returns something to wait for, if there is something to be fetched or written first
   */
  addFile(place: StagedEntry, file: FileEntry, present: number | null): Promise<void> | undefined
  addSymlink(place: StagedEntry, link: SymlinkEntry): void
  /** Whether a name of that hard-linked file is made here. */
  hasLinked(group: bigint): boolean
  /** Takes an entry whose content cannot be had; throws when that ends the load. */
  reportDamage(place: Pick<StagedPlace, 'path'>, error: unknown): void
  /** Notes the bits of a mode that do not come back, of what is there and stays. */
  noteDropped(path: ByteString, mode: number): void
  /** Writes what is not written yet. */
  finish(): Promise<void>
  close(): Promise<void>
  readonly outcome: StageOutcome
}

/** A chunk of a file and where in the file it goes. */
interface PlacedRun {
  readonly run: Run
  readonly position: number
}

/**
 * While one batch is written, the next one is planned. The first is small, so that writing begins early; large ones keep
 * down what is fetched once more at their seams. They bound the memory.
 */
const FIRST_ENTRIES = 1024
/** On a network each batch waits for its first answer. */
const FIRST_REMOTE_ENTRIES = 4096
const MAX_ENTRIES = 32_768
const FIRST_BYTES = 8 * 1024 * 1024
const FIRST_REMOTE_BYTES = 64 * 1024 * 1024
const MAX_BYTES = 1024 * 1024 * 1024
const BATCH_GROWTH = 4

export function createTreeStage(options: TreeStageOptions): TreeStage {
  const slice = timeSlice(options.signal)
  const state: StageState = {
    options,
    directories: createStagingDirectories(options.root),
    outcome: { files: 0, bytes: 0, reusedBytes: 0, fetchedBytes: 0, damaged: [], changed: [] },
    slice,
    content: createContentCheck(options.repository.keys, slice),
    groups: new Map(),
    batch: emptyBatch(),
    batches: 0,
    writing: Promise.resolve(),
    writingBefore: Promise.resolve(),
    requesting: Promise.resolve(),
    failure: null,
    threads: null,
  }
  startThreads(state, options.expected.files, options.expected.bytes)
  return {
    outcome: state.outcome,
    addFile: (place, file, present) => addFile(state, place, file, present),
    hasLinked: (group) => state.groups.has(group),
    noteDropped: (path, mode) => noteDropped(state, path, mode),
    reportDamage: (place, error) => reportDamage(state, place, error),
    makeDirectory: ({ directory, name, path }, fields) =>
      state.directories.make(directory, name, keptFields(state, path, fields)),
    leaveDirectory: (directory) => state.directories.leave(directory),
    addSymlink: (place, link) => void state.batch.symlinks.push({ place, link }),
    async finish() {
      await flushStage(state)
      await state.writing
    },
    async close() {
      await state.writing.catch(() => undefined)
      state.threads?.close()
      state.directories.close()
    },
  }
}

function addFile(
  state: StageState,
  place: StagedEntry,
  file: FileEntry,
  present: number | null,
): Promise<void> | undefined {
  // Nearly all files are one chunk in a pack that is open.
  const run = file.runs.length === 1 && file.hardLinkGroup === 0n ? file.runs[0] : undefined
  const found = run?.kind === 'chunk' && run.length === file.size ? state.options.locator.find(run.id) : null
  if (run === undefined || found === null || found.chunk.length !== run.length)
    return locateFile(state, place, file, present)
  plan(state, place, file, [{ run, position: 0 }], found)
  return isFull(state) ? flushStage(state) : undefined
}

async function locateFile(
  state: StageState,
  place: StagedEntry,
  file: FileEntry,
  present: number | null,
): Promise<void> {
  if (file.hardLinkGroup !== 0n && joinGroup(state, place, file)) return
  const runs = await locateRuns(state, place, file)
  if (runs === null) {
    const group = state.groups.get(file.hardLinkGroup)
    if (group !== undefined) {
      group.damage = damagedObject(`file ${JSON.stringify(pathText(place.path))}`, 'it could not be read')
    }
    return
  }
  if (runs.length === 1 && runs[0]?.run.length === file.size) plan(state, place, file, runs)
  else await prepare(state, place, file, runs, present)
  if (isFull(state)) await flushStage(state)
}

function isFull({ batch, batches, options }: StageState): boolean {
  const isRemote = options.repository.store.capabilities.remote === true
  const firstEntries = isRemote ? FIRST_REMOTE_ENTRIES : FIRST_ENTRIES
  const firstBytes = isRemote ? FIRST_REMOTE_BYTES : FIRST_BYTES
  const growth = BATCH_GROWTH ** batches
  const entries = Math.max(batch.files.length + batch.links.length + batch.symlinks.length, batch.pieces / 2)
  return (
    entries >= Math.min(firstEntries * growth, MAX_ENTRIES) ||
    batch.pieceBytes >= Math.min(firstBytes * growth, MAX_BYTES)
  )
}

/** True for a further name of a file that is made already. */
function joinGroup(state: StageState, place: StagedEntry, file: FileEntry): boolean {
  const runs = file.runs.map(({ kind, id, length }) => [kind, id, length])
  const content = crypto.hash('sha256', JSON.stringify([file.size, runs]))
  const group = state.groups.get(file.hardLinkGroup)
  if (group === undefined) {
    state.groups.set(file.hardLinkGroup, { first: place, content, damage: null })
    return false
  }
  if (group.content === content) {
    state.batch.links.push({ place, file })
    noteDropped(state, place.path, file.mode)
  } else {
    const reason = 'it is a hard link and has another content than the file'
    dropEntry(state, place, damagedObject(`tree entry ${JSON.stringify(pathText(place.path))}`, reason))
  }
  return true
}

/** The chunks of a file, all of which are somewhere; `null` for a damaged file. */
async function locateRuns(
  state: StageState,
  place: StagedPlace,
  file: FileEntry,
): Promise<PlacedRun[] | null> {
  const { locator, repository, tree } = state.options
  const runs: PlacedRun[] = []
  let position = 0
  try {
    const all = tree.knownRuns(place.path, file) ?? (await Array.fromAsync(tree.runs(place.path, file)))
    for (const run of all) {
      if (run.kind === 'chunk') {
        const { chunk, pack } = locator.find(run.id) ?? (await locator.locate(run.id))
        if (chunk.length !== run.length) {
          const reason = `it has ${chunk.length} bytes instead of ${run.length}`
          throw damageIn(repository.packKey(pack.packId), damagedObject(`chunk ${run.id}`, reason))
        }
        runs.push({ run, position })
      }
      position += run.length
    }
    return runs
  } catch (error) {
    dropEntry(state, place, withFile(error, place.path))
    return null
  }
}

/** Makes a file that has holes or several chunks. */
async function prepare(
  state: StageState,
  place: StagedEntry,
  file: FileEntry,
  runs: readonly PlacedRun[],
  present: number | null,
): Promise<void> {
  const directory = state.directories.acquire(place.directory)
  try {
    const fd = exclusively(place.path, () => createFile(childPath(directory, place.name), file.size))
    try {
      plan(state, place, file, present === null ? runs : await reuse(state, runs, present, fd))
    } finally {
      closeSync(fd)
    }
  } finally {
    state.directories.release(place.directory)
  }
}

/** Copies what the present file has of the content, and returns what is left to be fetched. */
async function reuse(
  { slice, content, outcome }: StageState,
  runs: readonly PlacedRun[],
  present: number,
  target: number,
): Promise<PlacedRun[]> {
  const missing: PlacedRun[] = []
  for (const each of runs) {
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const bytes = content.chunkAt(present, each.position, each.run)
    if (bytes === null) missing.push(each)
    else {
      writeAll(target, bytes, each.position)
      outcome.reusedBytes += each.run.length
    }
  }
  return missing
}

/** @param found where the only run is, when that is known */
function plan(
  state: StageState,
  place: StagedEntry,
  file: FileEntry,
  runs: readonly PlacedRun[],
  found: ChunkPlace | null = null,
): void {
  const { batch } = state
  const number = batch.files.length
  const isWhole = runs.length === 1 && runs[0]?.run.length === file.size
  batch.files.push({ place, entry: file, isWhole, damage: null })
  const whole: FileFields | null = isWhole ? keptFields(state, place.path, file) : null
  for (const { run, position } of runs) {
    // Looked up again rather than kept: a large file has tens of thousands.
    const there = found ?? state.options.locator.find(run.id)
    if (there === null) throw new WorkspaceError('INTERNAL', 'A chunk that was found is not there any more.')
    const { pack, chunk } = there
    const key = `${pack.packId} ${chunk.frame}`
    let frame = batch.frames.get(key)
    if (frame === undefined) batch.frames.set(key, (frame = { pack, frame: chunk.frame, pieces: [] }))
    const { offset, length } = chunk
    frame.pieces.push({ id: run.id, offset, length, file: number, position, whole })
    batch.pieces += 1
    batch.pieceBytes += length
  }
}

function withFile(error: unknown, path: ByteString): unknown {
  if (!WorkspaceError.is(error, 'CORRUPT')) return error
  const key = typeof error.details['key'] === 'string' ? error.details['key'] : objectOf(error)
  return damageIn(key, error, [pathText(path)])
}
