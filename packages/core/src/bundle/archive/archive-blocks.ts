import { Buffer } from 'node:buffer'
import { fstatSync, type BigIntStats } from 'node:fs'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { fillBuffer } from '../../filesystem/fill-buffer.ts'
import { pathText } from '../../filesystem/path-text.ts'
import type { ArchiveNotes } from './archive-notes.ts'
import {
  TAR_BLOCK_BYTES,
  headerRoom,
  paddedLength,
  writeTarHeader,
  type TarHeaderFields,
} from './tar-header.ts'

/** Uncompressed bytes of one block, which becomes one compressed frame. */
export const ARCHIVE_BLOCK_BYTES = 2 * 1024 * 1024

/** Blocks that are done with, to be filled again: fresh ones would pile up until the collector runs. */
export type BlockPool = Buffer[]

const MAX_ATTEMPTS = 3

/** The block that is being filled. */
export interface BlockState {
  readonly notes: ArchiveNotes
  readonly pool: BlockPool
  block: Buffer
  used: number
}

export type Blocks = Generator<Buffer, void, void>

export function openBlocks(pool: BlockPool): Omit<BlockState, 'notes'> {
  return { pool, block: Buffer.allocUnsafeSlow(ARCHIVE_BLOCK_BYTES), used: 0 }
}

export function* endBlocks(state: BlockState): Blocks {
  yield* reserve(state, 2 * TAR_BLOCK_BYTES)
  state.block.fill(0, state.used, state.used + 2 * TAR_BLOCK_BYTES)
  state.used += 2 * TAR_BLOCK_BYTES
  yield* flush(state)
}

/** A file that fits into one block is read again when it changed meanwhile; a larger one is cut or padded. */
export function* putContent(
  state: BlockState,
  fd: number,
  firstStats: BigIntStats,
  path: ByteString,
): Blocks {
  let stats = firstStats
  for (let attempt = 1; ; attempt += 1) {
    const size = Number(stats.size)
    const needed = headerRoom(path, '') + paddedLength(size)
    if (needed > ARCHIVE_BLOCK_BYTES) {
      yield* putLargeContent(state, fd, stats, path)
      return
    }
    yield* reserve(state, needed)
    const content =
      state.used + writeTarHeader(state.block, state.used, headerFields(path, 'file', stats, size, ''))
    const read = fillBuffer(fd, state.block, content, size, 0)
    const after = fstatSync(fd, { bigint: true })
    const isStable = read === size && isSameContent(stats, after)
    if (isStable || attempt === MAX_ATTEMPTS) {
      if (!isStable) state.notes.unstable.push(pathText(path))
      state.block.fill(0, content + read, content + paddedLength(size))
      state.used = content + paddedLength(size)
      state.notes.totals.contentBytes += size
      return
    }
    stats = after
  }
}

function* putLargeContent(state: BlockState, fd: number, stats: BigIntStats, path: ByteString): Blocks {
  const size = Number(stats.size)
  yield* putHeader(state, path, 'file', stats, size, '')
  let position = 0
  let isShort = false
  while (position < size) {
    if (state.used === state.block.length) yield* flush(state)
    const wanted = Math.min(size - position, state.block.length - state.used)
    const read = isShort ? 0 : readOrStop(fd, state.block, state.used, wanted, position)
    if (read < wanted) isShort = true
    state.block.fill(0, state.used + read, state.used + wanted)
    state.used += wanted
    position += wanted
  }
  const padding = paddedLength(size) - size
  yield* reserve(state, padding)
  state.block.fill(0, state.used, state.used + padding)
  state.used += padding
  state.notes.totals.contentBytes += size
  if (isShort || !isSameContent(stats, fstatSync(fd, { bigint: true }))) {
    state.notes.unstable.push(pathText(path))
  }
}

/** The header is out, so a read that fails now can only be padded over. */
function readOrStop(fd: number, block: Buffer, offset: number, length: number, position: number): number {
  try {
    return fillBuffer(fd, block, offset, length, position)
  } catch {
    return 0
  }
}

function isSameContent(before: BigIntStats, after: BigIntStats): boolean {
  return before.size === after.size && before.mtimeNs === after.mtimeNs && before.ctimeNs === after.ctimeNs
}

export function* putHeader(
  state: BlockState,
  path: ByteString,
  type: TarHeaderFields['type'],
  stats: BigIntStats,
  size: number,
  linkPath: ByteString,
): Blocks {
  yield* reserve(state, headerRoom(path, linkPath))
  state.used += writeTarHeader(state.block, state.used, headerFields(path, type, stats, size, linkPath))
}

function headerFields(
  path: ByteString,
  type: TarHeaderFields['type'],
  stats: BigIntStats,
  size: number,
  linkPath: ByteString,
) {
  return { path, type, mode: Number(stats.mode) & 0o7777, size, mtimeNs: stats.mtimeNs, linkPath }
}

function* reserve(state: BlockState, bytes: number): Blocks {
  if (state.block.length - state.used < bytes) yield* flush(state)
}

function* flush(state: BlockState): Blocks {
  if (state.used === 0) return
  const full = state.block.subarray(0, state.used)
  state.block = state.pool.pop() ?? Buffer.allocUnsafeSlow(ARCHIVE_BLOCK_BYTES)
  state.used = 0
  yield full
}
