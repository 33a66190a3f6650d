import { WorkspaceError } from '../../../errors.ts'
import type { ByteRange } from '../../../store/object-store.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import { damagedObject } from '../../format/damaged-object.ts'
import type { FileEntry, Run } from '../../format/tree-node.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { createChunkLocator, type ChunkLocator, type ChunkPlace } from './chunk-locator.ts'
import { damageIn } from '../repository/damage.ts'
import { fetchChunks } from './fetch-chunks.ts'
import { modifiedAtOf } from './modified-at.ts'
import { splitPath } from './path-selection.ts'
import { createChunkReader } from './read-chunk.ts'
import { findEntry } from './read-tree.ts'
import type { Repository } from '../repository/repository.ts'
import { readableOnce } from '../../readable-once.ts'
import { createTreeReader } from './tree-reader.ts'

export interface ReadVersionFileOptions {
  /** @default the whole file */
  readonly range?: ByteRange | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface VersionFile {
  readonly info: VersionFileInfo
  /** The bytes asked for, each chunk checked before any of it is given out. Rejects with `CORRUPT` at damage. Can be read once. */
  readonly body: AsyncIterable<Uint8Array>
}

/** JSON-safe. */
export interface VersionFileInfo {
  readonly path: string
  /** Of the whole file, in bytes. */
  readonly size: number
  readonly mode: number
  /** ISO 8601, UTC, to the millisecond; '' for a time that a `Date` cannot have. */
  readonly modifiedAt: string
}

/** So much is fetched together; the reader has no more than two of these in memory. */
const BATCH_BYTES = 4 * 1024 * 1024
const ZEROS = new Uint8Array(64 * 1024)

/**
 * One file of a version, or `null` when there is none. Reads the tree nodes on the way to it and the frames that hold it.
 * @throws `INVALID_INPUT` for a path that is a directory or a link (links are not followed), or a range past the end
 * @throws `CORRUPT` when the way to the file is damaged
 */
export async function readVersionFile(
  repository: Repository,
  record: VersionRecord,
  path: string,
  options: ReadVersionFileOptions = {},
): Promise<VersionFile | null> {
  const { signal } = options
  signal?.throwIfAborted()
  const names = splitPath(path)
  if (names.length === 0) throw notAFile(path, 'the directory itself')
  const locator = createChunkLocator(repository, record.packs, signal, false)
  const tree = createTreeReader(createChunkReader(repository, locator, false, signal).read)
  const found = await findEntry(tree, record, names)
  if (found === null) return null
  const { entry } = found
  if (entry.type !== 'file') throw notAFile(path, entry.type === 'directory' ? 'a directory' : 'a link')
  const { start, end } = resolveRange(entry, options.range)
  const info = {
    path: pathText(found.path),
    size: entry.size,
    mode: entry.mode,
    modifiedAt: modifiedAtOf(entry),
  }
  const runs = tree.runs(found.path, entry)
  const body = readRange(repository, locator, runs, { start, end, path: info.path, signal })
  return { info, body: readableOnce(body, `The file ${JSON.stringify(path)}`, 'readFile') }
}

interface RangeOfFile {
  readonly start: number
  readonly end: number
  readonly path: string
  readonly signal: AbortSignal | undefined
}

interface Part {
  readonly run: Run
  readonly place: ChunkPlace | null
  /** What is wanted of the run. */
  readonly from: number
  readonly to: number
}

async function* readRange(
  repository: Repository,
  locator: ChunkLocator,
  runs: AsyncIterable<Run>,
  range: RangeOfFile,
): AsyncGenerator<Uint8Array, void, void> {
  let position = 0
  let batch: Part[] = []
  let bytes = 0
  for await (const run of runs) {
    const from = Math.max(0, range.start - position)
    const to = Math.min(run.length, range.end - position)
    position += run.length
    if (to <= from) {
      if (position >= range.end) break
      continue
    }
    const place = run.kind === 'chunk' ? await locate(repository, locator, run, range.path) : null
    batch.push({ run, place, from, to })
    if (place !== null) bytes += run.length
    if (bytes >= BATCH_BYTES) {
      yield* readBatch(repository, batch, range)
      batch = []
      bytes = 0
    }
  }
  yield* readBatch(repository, batch, range)
}

async function locate(
  repository: Repository,
  locator: ChunkLocator,
  run: Run,
  path: string,
): Promise<ChunkPlace> {
  const place = await locator.locate(run.id).catch((error: unknown) => {
    throw damageIn(null, error, [path])
  })
  if (place.chunk.length === run.length) return place
  const damage = damagedObject(
    `chunk ${run.id}`,
    `it has ${place.chunk.length} bytes instead of ${run.length}`,
  )
  throw damageIn(repository.packKey(place.pack.packId), damage, [path])
}

async function* readBatch(
  repository: Repository,
  batch: readonly Part[],
  { path, signal }: RangeOfFile,
): AsyncGenerator<Uint8Array, void, void> {
  const places = batch.flatMap(({ place }) => place ?? [])
  const contents = await fetchChunks(repository, places, signal).catch((error: unknown) => {
    throw damageIn(null, error, [path])
  })
  for (const { run, from, to } of batch) {
    const content = contents.get(run.id)
    if (content !== undefined) yield content.subarray(from, to)
    else
      for (let done = from; done < to; done += ZEROS.length)
        yield ZEROS.slice(0, Math.min(ZEROS.length, to - done))
  }
}

function resolveRange(file: FileEntry, range: ByteRange | undefined): { start: number; end: number } {
  const { start = 0, end = file.size } = range ?? {}
  const isUsable = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end >= start
  if (!isUsable || (range !== undefined && start >= file.size)) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `The range from ${start} to ${end} does not lie in the file, which has ${file.size} bytes.`,
    )
  }
  return { start, end: Math.min(end, file.size) }
}

function notAFile(path: string, what: string): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `Cannot read ${JSON.stringify(path)} as a file: it is ${what}.`,
    {
      details: { path },
    },
  )
}
