import { Buffer } from 'node:buffer'
import type { BigIntStats } from 'node:fs'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, type Chunker } from '../../format/chunker.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { Run } from '../../format/tree-runs.ts'
import type { DirectoryCursor } from '../../../filesystem/directory-cursor.ts'
import { fillBuffer } from '../../../filesystem/fill-buffer.ts'
import { WORTH_THREAD_BYTES, type CutsAhead, type LargeFilesAhead } from './large-files-ahead.ts'

export interface ContentReader {
  readonly identify: (content: Uint8Array) => ContentId
  /** Takes a chunk of the file; the bytes are gone after the next read. */
  readonly keep: (id: ContentId, content: Uint8Array) => void
  /** Called now and then in large files; awaits what must be awaited before more is taken. */
  readonly pause: () => Promise<void>
  readonly chunker: Chunker
  /** Whether the content need not be taken. */
  readonly isHeld: (id: ContentId) => boolean
  /** Another thread for so many bytes of one file; `null` where there is none, or it is not worth it. */
  readonly largeFiles: (bytes: number, hasCuts: boolean) => LargeFilesAhead | null
  readonly cursor: DirectoryCursor
  /** Absolute path of the root. */
  readonly directory: ByteString
}

/** Of a chunker's buffer: several of the longest chunks, so that little is read twice or moved. */
export const READ_BUFFER_BYTES = 2 * 1024 * 1024

/**
 * Cuts the content of an open file into runs, the old cuts first. `null` when the file ended early.
 * @throws `NodeJS.ErrnoException`
 */
export async function readRuns(
  reader: ContentReader,
  fd: number,
  stats: BigIntStats,
  oldRuns: readonly Run[],
): Promise<Run[] | null> {
  const size = Number(stats.size)
  if (size === 0) return []
  if (size <= MIN_CHUNK_BYTES) {
    const { buffer } = reader.chunker
    if (fillBuffer(fd, buffer, 0, size, 0) < size) return null
    return [keepSmall(reader, buffer.subarray(0, size))]
  }
  const runs: Run[] = []
  const segments = mayHaveHoles(stats)
    ? findHoles(reader, fd, size)
    : [{ start: 0, end: size, isHole: false }]
  for await (const { start, end, isHole } of segments) {
    if (isHole) runs.push({ kind: 'zeros', id: '', length: end - start })
    else if (!(await readSegment(reader, fd, start, end, oldRuns, runs))) return null
  }
  return runs
}

/** A file on fewer blocks than its size takes. */
export function mayHaveHoles({ blocks, size }: BigIntStats): boolean {
  return blocks * 512n < size
}

/** False when the file ended early. */
async function readSegment(
  reader: ContentReader,
  fd: number,
  start: number,
  end: number,
  oldRuns: readonly Run[],
  runs: Run[],
): Promise<boolean> {
  const oldBytes = oldRuns.reduce((sum, { length }) => sum + length, 0)
  const thread = reader.largeFiles(Math.max(oldBytes, end - start), oldBytes > 0)
  if (thread === null) return readHere(reader, fd, start, end, oldRuns, runs, null)
  if (oldBytes < WORTH_THREAD_BYTES) return cutInThread(reader, thread, fd, start, end, runs)
  const ahead = thread.followCuts(fd, oldRuns, reader.isHeld)
  try {
    return await readHere(reader, fd, start, end, oldRuns, runs, ahead)
  } finally {
    await ahead.settle()
  }
}

async function cutInThread(
  reader: ContentReader,
  thread: LargeFilesAhead,
  fd: number,
  start: number,
  end: number,
  runs: Run[],
): Promise<boolean> {
  let position = start
  for await (const { content, ids, ends } of thread.cut(fd, start, end)) {
    let first = 0
    for (const [index, id] of ids.entries()) {
      const last = ends[index] ?? first
      reader.keep(id, content.subarray(first, last))
      runs.push({ kind: 'chunk', id, length: last - first })
      first = last
      await reader.pause()
    }
    position += first
  }
  // What the thread did not come to, if anything.
  return readHere(reader, fd, position, end, [], runs, null)
}

/** Follows the old cuts while their content is there, and looks for new ones until it meets them again. */
async function readHere(
  reader: ContentReader,
  fd: number,
  start: number,
  end: number,
  oldRuns: readonly Run[],
  runs: Run[],
  ahead: CutsAhead | null,
): Promise<boolean> {
  if (start === end) return true
  const { chunker } = reader
  const { buffer } = chunker
  const oldPlaces = new Map<ContentId, number>()
  if (oldRuns.length > 1) oldRuns.forEach((run, index) => void oldPlaces.set(run.id, index))
  let follow = start === 0 ? 0 : oldRuns.length
  let first = 0
  let filled = 0
  for (let position = start; position < end;) {
    const left = end - position
    const old = oldRuns[follow]
    // The last old cut was made by the file's end: a file that grew is cut anew there.
    const isUsable =
      old?.kind === 'chunk' && (follow < oldRuns.length - 1 ? old.length <= left : old.length === left)
    if (isUsable && ahead !== null && (await ahead.isThere(follow, position))) {
      runs.push(old)
      first = Math.min(filled, first + old.length)
      position += old.length
      follow += 1
      continue
    }
    if (filled - first < MAX_CHUNK_BYTES && filled - first < left) {
      buffer.copyWithin(0, first, filled)
      filled -= first
      first = 0
      const wanted = Math.min(buffer.length - filled, left - filled)
      if (fillBuffer(fd, buffer, filled, wanted, position + filled) < wanted) return false
      filled += wanted
      await reader.pause()
    }
    let length = isUsable ? old.length : chunker.cut(first, filled) - first
    let id = reader.identify(buffer.subarray(first, first + length))
    if (isUsable && id !== old.id) {
      length = chunker.cut(first, filled) - first
      id = reader.identify(buffer.subarray(first, first + length))
    }
    reader.keep(id, buffer.subarray(first, first + length))
    runs.push({ kind: 'chunk', id, length })
    const place = oldRuns[follow]?.id === id ? follow : oldPlaces.get(id)
    follow = place === undefined ? oldRuns.length : place + 1
    first += length
    position += length
  }
  return true
}

const HOLE_BLOCK_BYTES = 64 * 1024
const zeroBlock = Buffer.alloc(HOLE_BLOCK_BYTES)

/** Stretches of whole 64 KiB blocks of zeros, and what is between them. */
async function* findHoles(
  reader: ContentReader,
  fd: number,
  size: number,
): AsyncGenerator<{ start: number; end: number; isHole: boolean }, void, void> {
  const scratch = Buffer.allocUnsafeSlow(16 * HOLE_BLOCK_BYTES)
  let start = 0
  let wasHole = false
  for (let position = 0; position < size; position += scratch.length) {
    const filled = fillBuffer(fd, scratch, 0, Math.min(scratch.length, size - position), position)
    for (let offset = 0; offset < filled; offset += HOLE_BLOCK_BYTES) {
      const block = scratch.subarray(offset, Math.min(filled, offset + HOLE_BLOCK_BYTES))
      const isHole = block.length === HOLE_BLOCK_BYTES && block.equals(zeroBlock)
      const here = position + offset
      if (isHole !== wasHole && here > start) {
        yield { start, end: here, isHole: wasHole }
        start = here
      }
      wasHole = isHole
    }
    await reader.pause()
  }
  if (start < size) yield { start, end: size, isHole: wasHole }
}

export function keepSmall(reader: ContentReader, content: Buffer): Run {
  const id = reader.identify(content)
  reader.keep(id, content)
  return { kind: 'chunk', id, length: content.length }
}
