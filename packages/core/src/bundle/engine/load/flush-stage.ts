import { closeSync, constants, linkSync, lutimesSync, openSync, unlinkSync } from 'node:fs'
import { writeLink } from '../../../filesystem/native-bytes.ts'
import { childPath } from '../../../filesystem/directory-handle.ts'
import { fileTime } from '../../../filesystem/file-time.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { SymlinkEntry } from '../../format/tree-node.ts'
import { damageIn } from '../repository/damage.ts'
import { fetchFramesTwice } from '../read/fetch-frames.ts'
import { finishFile, type FrameResult } from './restore-frame.ts'
import { createInlineWriter, createThreadedWriter, type FrameWriter } from './restore-threads.ts'
import {
  dropEntry,
  emptyBatch,
  keptFields,
  type PlannedFrame,
  type StageBatch,
  type StagedFile,
  type StagedLink,
  type StagedEntry,
  type StageState,
} from './stage-state.ts'
import { makingLink } from './staging-directories.ts'
import { writeFrame } from './write-frame.ts'

/** From here on threads are worth their start. */
const FILES_WORTH_THREADS = 3000
const BYTES_WORTH_THREADS = 24 * 1024 * 1024

/** Starts the threads when there is so much to write. */
export function startThreads(state: StageState, files: number, bytes: number): void {
  if (files < FILES_WORTH_THREADS && bytes < BYTES_WORTH_THREADS) return
  state.threads ??= createThreadedWriter(state.options.repository.keys)
}

/**
 * Has what is planned fetched and written. Waits until that of the batch before is written; on a network only until it was
 * asked for, and the one before that is written: so nothing waits for an answer when it could be writing.
 */
export async function flushStage(state: StageState): Promise<void> {
  const isRemote = state.options.repository.store.capabilities.remote === true
  const { batch } = state
  const left = state.directories.takeLeft()
  state.batch = emptyBatch()
  state.batches += 1
  await (isRemote ? state.writingBefore : state.writing)
  await state.requesting
  const requesting = Promise.withResolvers<void>()
  state.requesting = requesting.promise
  state.writingBefore = state.writing
  state.writing = writeBatch(state, batch, left, requesting.resolve).finally(requesting.resolve)
  // Whoever waits for it next is told.
  state.writing.catch((error: unknown) => (state.failure ??= { error }))
}

async function writeBatch(
  state: StageState,
  batch: StageBatch,
  left: readonly number[],
  onAllRequested: () => void,
): Promise<void> {
  const { options, slice, directories, writingBefore } = state
  try {
    if (batch.frames.size > 0) {
      startThreads(state, batch.pieces, batch.pieceBytes)
      const writer = state.threads ?? createInlineWriter(options.repository.keys)
      await fetchPlanned(state, batch, writer, onAllRequested)
    }
  } finally {
    // Directories and names of links may be of both; and whatever ends this one, nothing is running afterwards.
    await writingBefore
  }
  options.signal?.throwIfAborted()
  for (const file of batch.files) {
    completeFile(state, file)
    await slice.pauseWhenDue()
  }
  for (const link of batch.links) {
    makeLink(state, link)
    await slice.pauseWhenDue()
  }
  for (const { place, link } of batch.symlinks) {
    makeSymlink(state, place, link)
    await slice.pauseWhenDue()
  }
  await directories.finish(left, slice)
}

async function fetchPlanned(
  state: StageState,
  batch: StageBatch,
  writer: FrameWriter,
  onAllRequested: () => void,
): Promise<void> {
  await fetchFramesTwice(state.options.repository, {
    work: [...batch.frames.values()],
    width: writer.width,
    signal: state.options.signal,
    onAllRequested,
    async onFrame(planned, stored, onDamage) {
      if (state.failure !== null) throw state.failure.error
      state.outcome.fetchedBytes += stored.length
      const result = await writeFrame(state.directories, batch, writer, planned, stored)
      const damaged = result.damaged.flatMap((number) => planned.pieces[number] ?? [])
      if (result.damage !== null) onDamage({ ...planned, pieces: damaged }, result.damage)
      settleFrame(state, batch, planned, result)
    },
    onDamage: (planned, error) => markDamaged(state, batch, planned, error),
  })
}

function settleFrame(
  { outcome, options }: StageState,
  { files }: StageBatch,
  planned: PlannedFrame,
  result: FrameResult,
): void {
  const damaged = new Set(result.damaged)
  planned.pieces.forEach((piece, number) => {
    if (!damaged.has(number)) outcome.bytes += piece.length
  })
  for (const written of result.files) {
    const file = files[written.file]
    if (file !== undefined) options.onWritten(file.place, file.entry, written)
  }
  options.onProgress()
}

function markDamaged(
  { options }: StageState,
  { files }: StageBatch,
  planned: PlannedFrame,
  error: unknown,
): void {
  const paths = [...new Set(planned.pieces.map(({ file }) => files[file]?.place.path ?? ''))]
  const key = options.repository.packKey(planned.pack.packId)
  const damage = damageIn(key, error, paths.map(pathText))
  if (options.onDamage === 'fail') throw damage
  for (const { file } of planned.pieces) {
    const hit = files[file]
    if (hit !== undefined) hit.damage ??= damage
  }
}

function completeFile(state: StageState, { place, entry, isWhole, damage }: StagedFile): void {
  const group = state.groups.get(entry.hardLinkGroup)
  if (damage !== null && group !== undefined) group.damage = damage
  if (damage === null) state.outcome.files += 1
  if (isWhole) {
    if (damage !== null) dropEntry(state, place, damage)
    return
  }
  const directory = state.directories.acquire(place.directory)
  try {
    const path = childPath(directory, place.name)
    if (damage !== null) {
      unlinkSync(path)
      dropEntry(state, place, damage)
      return
    }
    const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW)
    try {
      state.options.onWritten(place, entry, finishFile(fd, keptFields(state, place.path, entry)))
    } finally {
      closeSync(fd)
    }
  } finally {
    state.directories.release(place.directory)
  }
}

function makeLink(state: StageState, { place, file }: StagedLink): void {
  const { directories, outcome, options } = state
  const group = state.groups.get(file.hardLinkGroup)
  if (group === undefined) return
  if (group.damage !== null) {
    dropEntry(state, place, group.damage)
    return
  }
  const { directory, name } = group.first
  const from = directories.acquire(directory)
  try {
    const to = directories.acquire(place.directory)
    try {
      makingLink(place.path, 'hard link', () => linkSync(childPath(from, name), childPath(to, place.name)))
    } finally {
      directories.release(place.directory)
    }
  } finally {
    directories.release(directory)
  }
  outcome.files += 1
  options.onLinked(place)
}

function makeSymlink(
  { directories, outcome, options }: StageState,
  place: StagedEntry,
  link: SymlinkEntry,
): void {
  const path = childPath(directories.acquire(place.directory), place.name)
  try {
    makingLink(place.path, 'symbolic link', () => writeLink(Buffer.from(link.target, 'latin1'), path))
    const time = fileTime(link.mtimeSeconds, link.mtimeNanoseconds)
    lutimesSync(path, time, time)
  } finally {
    directories.release(place.directory)
  }
  outcome.files += 1
  options.onLinked(place)
}
