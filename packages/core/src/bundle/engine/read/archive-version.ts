import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../../errors.ts'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { ARCHIVE_BLOCK_BYTES, type BlockPool } from '../../archive/archive-blocks.ts'
import type { BundleFormat } from '../../bundle.ts'
import { compressBlocks } from '../../archive/frame-compressor.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { ContentId } from '../../format/content-id.ts'
import { damagedObject } from '../../format/damaged-object.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import {
  TAR_BLOCK_BYTES,
  headerRoom,
  paddedLength,
  writeTarHeader,
  type TarHeaderFields,
} from '../../archive/tar-header.ts'
import { createChunkLocator, type ChunkLocator, type ChunkPlace } from './chunk-locator.ts'
import { damageIn } from '../repository/damage.ts'
import { fetchChunks, frameOf } from './fetch-chunks.ts'
import { createChunkReader } from './read-chunk.ts'
import type { Repository } from '../repository/repository.ts'
import { childOf, createTreeReader, type TreeDirectory, type TreeReader } from './tree-reader.ts'

const LEVELS: Readonly<Record<BundleFormat, number>> = { 'tar.zst': 3, 'tar.gz': 6 }

/**
 * A version as a compressed tar archive, straight from the store: every chunk is checked against its id before it goes
 * in, nothing is written to the disk, memory stays flat. The same version gives the same bytes.
 * @throws `CORRUPT`, while it is read
 */
export async function* archiveVersion(
  repository: Repository,
  record: VersionRecord,
  format: BundleFormat,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const pool: BlockPool = []
  const blocks = tarBlocks(repository, record, pool, signal)
  for await (const compressed of compressBlocks(blocks, format, LEVELS[format], pool)) {
    signal?.throwIfAborted()
    yield compressed
  }
}

/** What goes into the archive, in order. */
type Piece =
  | { readonly kind: 'header'; readonly fields: TarHeaderFields }
  | { readonly kind: 'zeros'; readonly length: number }
  | { readonly kind: 'chunk'; readonly place: ChunkPlace }

interface Source {
  readonly repository: Repository
  readonly tree: TreeReader
  readonly locator: ChunkLocator
  /** Of each hard link group, the name under which its content went in. */
  readonly firstPaths: Map<bigint, ByteString>
}

interface Writer {
  readonly pool: BlockPool
  block: Buffer
  used: number
}

/** So much content, in frames, is fetched together, with what belongs between it. */
const BATCH_BYTES = 32 * 1024 * 1024
const BATCH_PIECES = 4096

async function* tarBlocks(
  repository: Repository,
  record: VersionRecord,
  pool: BlockPool,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  const locator = createChunkLocator(repository, record.packs, signal)
  const tree = createTreeReader(createChunkReader(repository, locator, true, signal).read)
  const writer: Writer = { pool, block: Buffer.allocUnsafeSlow(ARCHIVE_BLOCK_BYTES), used: 0 }
  const frames = new Set<string>()
  let batch: Piece[] = []
  let bytes = 0
  for await (const piece of piecesOf({ repository, tree, locator, firstPaths: new Map() }, record)) {
    if (piece.kind === 'chunk' && !frames.has(frameOf(piece.place))) {
      const { pack, chunk } = piece.place
      const frameBytes = pack.frames[chunk.frame]?.rawBytes ?? 0
      if (bytes > 0 && bytes + frameBytes > BATCH_BYTES) {
        yield* putBatch(repository, writer, batch, signal)
        batch = []
        frames.clear()
        bytes = 0
      }
      frames.add(frameOf(piece.place))
      bytes += frameBytes
    }
    batch.push(piece)
    if (batch.length < BATCH_PIECES) continue
    yield* putBatch(repository, writer, batch, signal)
    batch = []
    frames.clear()
    bytes = 0
  }
  yield* putBatch(repository, writer, batch, signal)
  yield* putZeros(writer, 2 * TAR_BLOCK_BYTES)
  if (writer.used > 0) yield writer.block.subarray(0, writer.used)
}

async function* piecesOf(source: Source, record: VersionRecord): AsyncGenerator<Piece, void, void> {
  const { mode, mtimeSeconds, mtimeNanoseconds, node } = record.root
  const mtimeNs = nanoseconds({ mtimeSeconds, mtimeNanoseconds })
  yield header({ path: './', type: 'directory', mode, size: 0, mtimeNs, linkPath: '' })
  // Not by recursion: each piece would pass through as many generators as it lies deep, and a stack of calls ends.
  const open = [openDirectory(source, { path: '', node, entriesBelow: null, depth: 0 })]
  for (let inner = open.at(-1); inner !== undefined; inner = open.at(-1)) {
    const { directory, entries } = inner
    const step = await entries.next()
    if (step.done === true) {
      open.pop()
      continue
    }
    const entry = step.value
    const path = childOf(directory, entry.name)
    yield* piecesOfEntry(source, path, entry)
    if (entry.type !== 'directory') continue
    open.push(
      openDirectory(source, {
        path,
        node: entry.node,
        entriesBelow: entry.entriesBelow,
        depth: directory.depth + 1,
      }),
    )
  }
}

function openDirectory({ tree }: Source, directory: TreeDirectory) {
  return { directory, entries: tree.entries(directory) }
}

async function* piecesOfEntry(
  source: Source,
  path: ByteString,
  entry: TreeEntry,
): AsyncGenerator<Piece, void, void> {
  const fields = { path, mode: entry.mode, size: 0, mtimeNs: nanoseconds(entry), linkPath: '' }
  if (entry.type === 'directory') {
    yield header({ ...fields, path: `${path}/`, type: 'directory' })
    return
  }
  if (entry.type === 'symlink') {
    yield header({ ...fields, type: 'symlink', linkPath: entry.target })
    return
  }
  const first = source.firstPaths.get(entry.hardLinkGroup)
  if (first !== undefined) {
    yield header({ ...fields, type: 'hard-link', linkPath: first })
    return
  }
  if (entry.hardLinkGroup !== 0n) source.firstPaths.set(entry.hardLinkGroup, path)
  yield header({ ...fields, type: 'file', size: entry.size })
  for await (const run of source.tree.runs(path, entry)) {
    if (run.kind === 'zeros') yield { kind: 'zeros', length: run.length }
    else yield { kind: 'chunk', place: await locate(source, run, path) }
  }
  yield { kind: 'zeros', length: paddedLength(entry.size) - entry.size }
}

async function locate(
  { repository, locator }: Source,
  { id, length }: { readonly id: ContentId; readonly length: number },
  path: ByteString,
): Promise<ChunkPlace> {
  const place = await locator.locate(id).catch((error: unknown) => {
    throw damageIn(null, error, [pathText(path)])
  })
  if (place.chunk.length === length) return place
  const damage = damagedObject(`chunk ${id}`, `it has ${place.chunk.length} bytes instead of ${length}`)
  throw damageIn(repository.packKey(place.pack.packId), damage, [pathText(path)])
}

async function* putBatch(
  repository: Repository,
  writer: Writer,
  batch: readonly Piece[],
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  const places = batch.flatMap((piece) => (piece.kind === 'chunk' ? piece.place : []))
  const contents = await fetchChunks(repository, places, signal)
  for (const piece of batch) {
    if (piece.kind === 'header') yield* putHeader(writer, piece.fields)
    else if (piece.kind === 'zeros') yield* putZeros(writer, piece.length)
    else {
      const content = contents.get(piece.place.chunk.id)
      if (content === undefined) throw new WorkspaceError('INTERNAL', 'A chunk was not delivered.')
      yield* putBytes(writer, content)
    }
  }
}

function header(fields: TarHeaderFields): Piece {
  return { kind: 'header', fields }
}

function* putHeader(writer: Writer, fields: TarHeaderFields): Generator<Buffer, void, void> {
  const scratch = Buffer.allocUnsafe(headerRoom(fields.path, fields.linkPath))
  yield* putBytes(writer, scratch.subarray(0, writeTarHeader(scratch, 0, fields)))
}

function* putBytes(writer: Writer, bytes: Uint8Array): Generator<Buffer, void, void> {
  for (let position = 0; position < bytes.length;) {
    const length = Math.min(bytes.length - position, writer.block.length - writer.used)
    writer.block.set(bytes.subarray(position, position + length), writer.used)
    position += length
    yield* advance(writer, length)
  }
}

function* putZeros(writer: Writer, count: number): Generator<Buffer, void, void> {
  for (let left = count; left > 0;) {
    const length = Math.min(left, writer.block.length - writer.used)
    writer.block.fill(0, writer.used, writer.used + length)
    left -= length
    yield* advance(writer, length)
  }
}

function* advance(writer: Writer, length: number): Generator<Buffer, void, void> {
  writer.used += length
  if (writer.used < writer.block.length) return
  yield writer.block
  writer.block = writer.pool.pop() ?? Buffer.allocUnsafeSlow(ARCHIVE_BLOCK_BYTES)
  writer.used = 0
}

function nanoseconds(time: { readonly mtimeSeconds: number; readonly mtimeNanoseconds: number }): bigint {
  return BigInt(time.mtimeSeconds) * 1_000_000_000n + BigInt(time.mtimeNanoseconds)
}
