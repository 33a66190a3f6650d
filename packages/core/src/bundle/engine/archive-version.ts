import { Buffer } from 'node:buffer'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { ARCHIVE_BLOCK_BYTES, type BlockPool } from '../archive-directory.ts'
import type { BundleFormat } from '../bundle.ts'
import { compressBlocks } from '../frame-compressor.ts'
import type { FileEntry, TreeEntry } from '../format/tree-node.ts'
import type { VersionRecord } from '../format/version-record.ts'
import {
  MAX_HEADER_BYTES,
  TAR_BLOCK_BYTES,
  paddedLength,
  writeTarHeader,
  type TarHeaderFields,
} from '../tar-header.ts'
import { createChunkLocator } from './chunk-locator.ts'
import { createChunkReader, type ChunkReader } from './read-chunk.ts'
import type { Repository } from './repository.ts'
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

interface Writer {
  readonly chunks: ChunkReader
  readonly tree: TreeReader
  /** Of each hard link group, the name under which its content went in. */
  readonly firstPaths: Map<bigint, ByteString>
  readonly pool: BlockPool
  block: Buffer
  used: number
}

async function* tarBlocks(
  repository: Repository,
  record: VersionRecord,
  pool: BlockPool,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  const locator = createChunkLocator(repository, record.packs, signal)
  const chunks = createChunkReader(repository, locator, true, signal)
  const writer: Writer = {
    chunks,
    tree: createTreeReader(chunks.read),
    firstPaths: new Map(),
    pool,
    block: Buffer.allocUnsafeSlow(ARCHIVE_BLOCK_BYTES),
    used: 0,
  }
  const { mode, mtimeSeconds, mtimeNanoseconds, node } = record.root
  const mtimeNs = nanoseconds({ mtimeSeconds, mtimeNanoseconds })
  yield* putHeader(writer, { path: './', type: 'directory', mode, size: 0, mtimeNs, linkPath: '' })
  yield* putDirectory(writer, { path: '', node, entriesBelow: null, depth: 0 })
  yield* putZeros(writer, 2 * TAR_BLOCK_BYTES)
  if (writer.used > 0) yield writer.block.subarray(0, writer.used)
}

async function* putDirectory(writer: Writer, directory: TreeDirectory): AsyncGenerator<Buffer, void, void> {
  for await (const entry of writer.tree.entries(directory)) {
    const path = childOf(directory, entry.name)
    yield* putEntry(writer, path, entry)
    if (entry.type !== 'directory') continue
    const { node, entriesBelow } = entry
    yield* putDirectory(writer, { path, node, entriesBelow, depth: directory.depth + 1 })
  }
}

async function* putEntry(
  writer: Writer,
  path: ByteString,
  entry: TreeEntry,
): AsyncGenerator<Buffer, void, void> {
  const fields = { path, mode: entry.mode, size: 0, mtimeNs: nanoseconds(entry), linkPath: '' }
  if (entry.type === 'directory') {
    yield* putHeader(writer, { ...fields, path: `${path}/`, type: 'directory' })
    return
  }
  if (entry.type === 'symlink') {
    yield* putHeader(writer, { ...fields, type: 'symlink', linkPath: entry.target })
    return
  }
  const first = writer.firstPaths.get(entry.hardLinkGroup)
  if (first !== undefined) {
    yield* putHeader(writer, { ...fields, type: 'hard-link', linkPath: first })
    return
  }
  if (entry.hardLinkGroup !== 0n) writer.firstPaths.set(entry.hardLinkGroup, path)
  yield* putHeader(writer, { ...fields, type: 'file', size: entry.size })
  yield* putContent(writer, path, entry)
}

async function* putContent(
  writer: Writer,
  path: ByteString,
  file: FileEntry,
): AsyncGenerator<Buffer, void, void> {
  for await (const run of writer.tree.runs(path, file)) {
    if (run.kind === 'zeros') yield* putZeros(writer, run.length)
    else yield* putBytes(writer, await writer.chunks.read(run.id))
  }
  yield* putZeros(writer, paddedLength(file.size) - file.size)
}

function* putHeader(writer: Writer, fields: TarHeaderFields): Generator<Buffer, void, void> {
  const scratch = Buffer.allocUnsafe(MAX_HEADER_BYTES)
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
