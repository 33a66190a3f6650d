import { closeSync, constants, linkSync, lutimesSync, openSync, symlinkSync, unlinkSync } from 'node:fs'
import { hash } from 'node:crypto'
import { WorkspaceError } from '../../errors.ts'
import {
  childPath,
  toFilePath,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import { fileTime } from '../../filesystem/file-time.ts'
import { timeSlice, type TimeSlice } from '../../filesystem/time-slice.ts'
import { pathText } from '../exclude-filter.ts'
import { damagedObject } from '../format/damaged-object.ts'
import type { PackIndex } from '../format/pack-index.ts'
import type { FileEntry, Run, SymlinkEntry } from '../format/tree-node.ts'
import { createContentCheck } from './check-file.ts'
import type { ChunkLocator } from './chunk-locator.ts'
import { damageIn, objectOf, reasonOf } from './damage.ts'
import { fetchFrames } from './fetch-frames.ts'
import type { DamagedEntry } from './load-options.ts'
import type { Repository } from './repository.ts'
import {
  createFile,
  finishFile,
  writeAll,
  type FileFields,
  type FrameResult,
  type Piece,
  type WrittenFile,
} from './restore-frame.ts'
import { createInlineWriter, createThreadedWriter, type FrameWriter } from './restore-threads.ts'
import { createStagingDirectories, exclusively } from './staging-directories.ts'
import type { TreeReader } from './tree-reader.ts'

/** Where an entry is made: a directory by its number, the name in it, and the path that messages show. */
export interface StagedPlace {
  readonly directory: number
  readonly name: ByteString
  readonly path: ByteString
}

/** Makes files, links and directories below a private directory, their content checked. */
export interface TreeStage {
  makeDirectory(place: StagedPlace, fields: FileFields): number
  /** @param present what is there now: what of its content is the same is taken from there */
  addFile(place: StagedPlace, file: FileEntry, present: number | null): Promise<void>
  addSymlink(place: StagedPlace, link: SymlinkEntry): void
  /** Takes an entry whose content cannot be had; throws when that ends the load. */
  reportDamage(place: Pick<StagedPlace, 'path'>, error: unknown): void
  /** Writes what is not written yet, and gives directories their fields. */
  finish(slice: TimeSlice): Promise<void>
  close(): Promise<void>
  readonly outcome: StageOutcome
}

export interface StageOutcome {
  readonly files: number
  readonly bytes: number
  readonly reusedBytes: number
  readonly fetchedBytes: number
  readonly damaged: readonly DamagedEntry[]
  readonly changed: readonly { readonly path: string; readonly reason: string }[]
}

export interface TreeStageOptions {
  readonly repository: Repository
  readonly root: DirectoryHandle
  readonly locator: ChunkLocator
  readonly tree: TreeReader
  readonly onDamage: 'fail' | 'skip'
  /** What there is to write at most, as far as it is known: threads for much of it start while the tree is read. */
  readonly expected: { readonly files: number; readonly bytes: number }
  /** Takes a file that is done, but for a further name of a hard-linked one. */
  readonly onWritten: (place: StagedPlace, file: FileEntry, written: Omit<WrittenFile, 'file'>) => void
  /** Takes a link, of either kind, that is made. */
  readonly onLinked: (place: StagedPlace) => void
  /** Takes a file or link that could not be made; it is not there. */
  readonly onDropped: (place: StagedPlace) => void
  readonly onProgress: () => void
  readonly signal?: AbortSignal | undefined
}

interface StagedFile {
  readonly place: StagedPlace
  readonly entry: FileEntry
  readonly isWhole: boolean
  damage: unknown
}

interface PlannedPiece extends Omit<Piece, 'base' | 'name'> {}

interface PlannedFrame {
  readonly pack: PackIndex
  readonly frame: number
  readonly pieces: PlannedPiece[]
}

interface StagedLink {
  readonly place: StagedPlace
  readonly file: FileEntry
}

interface LinkGroup {
  readonly first: StagedPlace
  readonly content: string
  damage: unknown
}

/** What is planned before it is fetched bounds the memory, and what is fetched twice at the seams. */
const ENTRIES_AT_ONCE = 32_768
const PIECES_AT_ONCE = 65_536
/** From here on threads are worth their start. */
const FILES_WORTH_THREADS = 3000
const BYTES_WORTH_THREADS = 24 * 1024 * 1024

export function createTreeStage(options: TreeStageOptions): TreeStage {
  const { repository, locator, tree, onDamage, signal } = options
  const directories = createStagingDirectories(options.root)
  const outcome = {
    files: 0,
    bytes: 0,
    reusedBytes: 0,
    fetchedBytes: 0,
    damaged: [] as DamagedEntry[],
    changed: [] as { path: string; reason: string }[],
  }
  const groups = new Map<bigint, LinkGroup>()
  let files: StagedFile[] = []
  let frames = new Map<string, PlannedFrame>()
  let links: StagedLink[] = []
  let symlinks: { place: StagedPlace; link: SymlinkEntry }[] = []
  let pieces = 0
  let bytes = 0
  let threads: FrameWriter | null = null
  const slice = timeSlice(signal)
  const content = createContentCheck(repository.keys, slice)

  function plan(place: StagedPlace, file: FileEntry, runs: readonly { run: Run; position: number }[]): void {
    const number = files.length
    const only = runs.length === 1 ? runs[0] : undefined
    const isWhole = only !== undefined && only.run.length === file.size
    files.push({ place, entry: file, isWhole, damage: null })
    const whole = isWhole ? fieldsOf(place, file, outcome.changed) : null
    for (const { run, position } of runs) {
      const found = locator.find(run.id)
      if (found === null) continue
      const { pack, chunk } = found
      const key = `${pack.packId} ${chunk.frame}`
      let frame = frames.get(key)
      if (frame === undefined) frames.set(key, (frame = { pack, frame: chunk.frame, pieces: [] }))
      frame.pieces.push({
        id: run.id,
        offset: chunk.offset,
        length: chunk.length,
        file: number,
        position,
        whole,
      })
      pieces += 1
      bytes += chunk.length
    }
  }

  function drop(place: StagedPlace, error: unknown): void {
    reportDamage(place, error)
    options.onDropped(place)
  }

  function reportDamage({ path }: Pick<StagedPlace, 'path'>, error: unknown): void {
    if (onDamage === 'fail' || !WorkspaceError.is(error, 'CORRUPT')) throw error
    outcome.damaged.push({ path: pathText(path), object: objectOf(error), reason: reasonOf(error) })
  }

  /** The places of all chunks, or the damage that keeps the file from being made. */
  async function locateRuns(
    place: StagedPlace,
    file: FileEntry,
  ): Promise<{ run: Run; position: number }[] | null> {
    const runs: { run: Run; position: number }[] = []
    let position = 0
    try {
      for await (const run of tree.runs(place.path, file)) {
        if (run.kind === 'chunk') {
          const { chunk, pack } = locator.find(run.id) ?? (await locator.locate(run.id))
          if (chunk.length !== run.length) {
            throw damageIn(
              repository.packKey(pack.packId),
              damagedObject(`chunk ${run.id}`, `it has ${chunk.length} bytes instead of ${run.length}`),
            )
          }
          runs.push({ run, position })
        }
        position += run.length
      }
      return runs
    } catch (error) {
      drop(place, withFiles(error, [place.path]))
      return null
    }
  }

  /** Copies what the present file has of the content; what is left is to be fetched. */
  async function reuse(
    runs: readonly { run: Run; position: number }[],
    present: number,
    target: number,
  ): Promise<{ run: Run; position: number }[]> {
    const missing: { run: Run; position: number }[] = []
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

  async function addFile(place: StagedPlace, file: FileEntry, present: number | null): Promise<void> {
    const key = file.hardLinkGroup
    if (key !== 0n) {
      const content = hash(
        'sha256',
        JSON.stringify([file.size, file.runs.map((run) => [run.kind, run.id, run.length])]),
      )
      const group = groups.get(key)
      if (group !== undefined) {
        if (group.content !== content) {
          const reason = 'it is a hard link and has another content than the file'
          drop(place, damagedObject(`tree entry ${JSON.stringify(pathText(place.path))}`, reason))
        } else links.push({ place, file })
        return
      }
      groups.set(key, { first: place, content, damage: null })
    }
    const runs = await locateRuns(place, file)
    if (runs === null) {
      const group = groups.get(key)
      if (group !== undefined)
        group.damage = damagedObject(`file ${JSON.stringify(pathText(place.path))}`, 'it could not be read')
      return
    }
    const single = runs[0]
    if (runs.length === 1 && single?.run.length === file.size) plan(place, file, runs)
    else await prepare(place, file, runs, present)
    if (pieces >= PIECES_AT_ONCE || files.length + links.length + symlinks.length >= ENTRIES_AT_ONCE)
      await flush()
  }

  /** Makes a file that has holes or several chunks; one without chunks is done then. */
  async function prepare(
    place: StagedPlace,
    file: FileEntry,
    runs: readonly { run: Run; position: number }[],
    present: number | null,
  ): Promise<void> {
    const directory = directories.acquire(place.directory)
    const fd = exclusively(place.path, () => createFile(childPath(directory, place.name), file.size))
    try {
      plan(place, file, present === null ? runs : await reuse(runs, present, fd))
    } finally {
      closeSync(fd)
      directories.release(place.directory)
    }
  }

  async function writeFrame(
    writer: FrameWriter,
    planned: PlannedFrame,
    stored: Uint8Array,
  ): Promise<FrameResult> {
    const used: number[] = []
    try {
      const located = planned.pieces.map((piece) => {
        const place = files[piece.file]?.place
        if (place === undefined) throw new WorkspaceError('INTERNAL', 'A piece belongs to no file.')
        used.push(place.directory)
        return { ...piece, base: directories.acquire(place.directory).base, name: place.name }
      })
      return await writer.write(
        { packId: planned.pack.packId, frame: planned.frame, pieces: located },
        stored,
      )
    } finally {
      for (const directory of used) directories.release(directory)
    }
  }

  function settle(planned: PlannedFrame, result: FrameResult): void {
    const damaged = new Set(result.damaged)
    planned.pieces.forEach((piece, number) => {
      const file = files[piece.file]
      if (file === undefined) return
      if (damaged.has(number)) file.damage ??= result.damage
      else outcome.bytes += piece.length
    })
    for (const written of result.files) {
      const file = files[written.file]
      if (file !== undefined && file.damage === null) options.onWritten(file.place, file.entry, written)
    }
    options.onProgress()
  }

  function hurt(planned: PlannedFrame, error: unknown): void {
    const paths = [...new Set(planned.pieces.map(({ file }) => files[file]?.place.path ?? ''))]
    const damage = damageIn(repository.packKey(planned.pack.packId), error, paths.map(pathText))
    if (onDamage === 'fail') throw damage
    for (const { file } of planned.pieces) {
      const hit = files[file]
      if (hit !== undefined) hit.damage ??= damage
    }
  }

  /** Damage may have happened on the way, so what is damaged is read once more. */
  async function fetch(writer: FrameWriter): Promise<void> {
    const again: PlannedFrame[] = []
    const pass = (
      work: PlannedFrame[],
      onDamaged: (planned: PlannedFrame, error: unknown) => void,
    ): Promise<void> =>
      fetchFrames(repository, {
        work,
        width: writer.width,
        signal,
        async onFrame(planned, stored) {
          outcome.fetchedBytes += stored.length
          const result = await writeFrame(writer, planned, stored)
          const damaged = result.damaged.flatMap((number) => planned.pieces[number] ?? [])
          if (result.damage !== null) onDamaged({ ...planned, pieces: damaged }, result.damage)
          settle(planned, { ...result, damage: null, damaged: [] })
        },
        onDamage: async (planned, error) => onDamaged(planned, error),
      })
    await pass([...frames.values()], (planned) => void again.push(planned))
    if (again.length > 0) await pass(again, hurt)
  }

  function startThreads(): void {
    threads ??= createThreadedWriter(repository.keys)
  }

  async function flush(): Promise<void> {
    if (frames.size > 0) {
      if (threads === null && (pieces >= FILES_WORTH_THREADS || bytes >= BYTES_WORTH_THREADS)) {
        startThreads()
      }
      await fetch(threads ?? createInlineWriter(repository.keys))
    }
    signal?.throwIfAborted()
    for (const file of files) await inSlices(() => completeFile(file))
    for (const { place, file } of links) await inSlices(() => makeLink(place, file))
    for (const { place, link } of symlinks) await inSlices(() => makeSymlink(place, link))
    files = []
    frames = new Map()
    links = []
    symlinks = []
    pieces = 0
    bytes = 0
  }

  function inSlices(work: () => void): Promise<void> | undefined {
    work()
    return slice.pauseWhenDue()
  }

  function completeFile({ place, entry, isWhole, damage }: StagedFile): void {
    const group = groups.get(entry.hardLinkGroup)
    if (damage !== null && group !== undefined) group.damage = damage
    if (damage === null) outcome.files += 1
    if (isWhole) {
      if (damage !== null) drop(place, damage)
      return
    }
    const directory = directories.acquire(place.directory)
    try {
      const path = childPath(directory, place.name)
      if (damage !== null) {
        unlinkSync(path)
        drop(place, damage)
        return
      }
      const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW)
      try {
        options.onWritten(place, entry, finishFile(fd, fieldsOf(place, entry, outcome.changed)))
      } finally {
        closeSync(fd)
      }
    } finally {
      directories.release(place.directory)
    }
  }

  function makeLink(place: StagedPlace, file: FileEntry): void {
    const group = groups.get(file.hardLinkGroup)
    if (group === undefined) return
    if (group.damage !== null) {
      drop(place, group.damage)
      return
    }
    const from = directories.acquire(group.first.directory)
    const to = directories.acquire(place.directory)
    try {
      exclusively(place.path, () => linkSync(childPath(from, group.first.name), childPath(to, place.name)))
      outcome.files += 1
      options.onLinked(place)
    } finally {
      directories.release(group.first.directory)
      directories.release(place.directory)
    }
  }

  function makeSymlink(place: StagedPlace, link: SymlinkEntry): void {
    const directory = directories.acquire(place.directory)
    try {
      const path = childPath(directory, place.name)
      exclusively(place.path, () => symlinkSync(toFilePath(link.target), path))
      const time = fileTime(link.mtimeSeconds, link.mtimeNanoseconds)
      lutimesSync(path, time, time)
      outcome.files += 1
      options.onLinked(place)
    } finally {
      directories.release(place.directory)
    }
  }

  const { files: expectedFiles, bytes: expectedBytes } = options.expected
  if (expectedFiles >= FILES_WORTH_THREADS || expectedBytes >= BYTES_WORTH_THREADS) startThreads()
  return {
    outcome,
    addFile,
    reportDamage,
    makeDirectory: ({ directory, name, path }, fields) =>
      directories.make(directory, name, keptFields(path, fields, outcome.changed)),
    addSymlink: (place, link) => void symlinks.push({ place, link }),
    async finish(slice) {
      await flush()
      await directories.finish(slice)
    },
    async close() {
      await threads?.close()
      directories.close()
    },
  }
}

/** Bits that give whoever runs a file the rights of its owner do not come back. */
export const KEPT_MODE_BITS = 0o777

function fieldsOf(
  place: StagedPlace,
  file: FileEntry,
  changed: { path: string; reason: string }[],
): FileFields {
  return keptFields(place.path, file, changed)
}

function keptFields(
  path: ByteString,
  fields: FileFields,
  changed: { path: string; reason: string }[],
): FileFields {
  const { mode, mtimeSeconds, mtimeNanoseconds } = fields
  const names = [
    (mode & 0o4000) === 0 ? [] : ['set-uid'],
    (mode & 0o2000) === 0 ? [] : ['set-gid'],
    (mode & 0o1000) === 0 ? [] : ['sticky'],
  ].flat()
  if (names.length > 0) changed.push({ path: pathText(path), reason: `${names.join(' and ')} bit dropped` })
  return { mode: mode & KEPT_MODE_BITS, mtimeSeconds, mtimeNanoseconds }
}

function withFiles(error: unknown, paths: readonly ByteString[]): unknown {
  if (!WorkspaceError.is(error, 'CORRUPT')) return error
  const key = typeof error.details['key'] === 'string' ? error.details['key'] : objectOf(error)
  return damageIn(key, error, paths.map(pathText))
}
