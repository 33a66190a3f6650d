import { Buffer } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readSync, type BigIntStats } from 'node:fs'
import { childPath, toFilePath, type ByteString } from '../../filesystem/directory-handle.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, type Chunker } from '../format/chunker.ts'
import type { ContentId } from '../format/content-id.ts'
import type { Run } from '../format/tree-runs.ts'
import type { DirectoryCursor } from './directory-cursor.ts'
import { fileStats, isSameState, type FileStats } from './file-stats.ts'
import { joinPath } from './known-tree.ts'

export interface ContentReader {
  readonly identify: (content: Uint8Array) => ContentId
  /** Takes a chunk of the file; the bytes are gone after the next read. */
  readonly keep: (id: ContentId, content: Uint8Array) => void
  /** Called now and then in large files; awaits what must be awaited before more is taken. */
  readonly pause: () => Promise<void>
  readonly chunker: Chunker
  readonly cursor: DirectoryCursor
  /** Absolute path of the root. */
  readonly directory: ByteString
}

/** `moved`: the file kept changing while it was read. */
export type ReadContent =
  | { readonly outcome: 'read'; readonly runs: readonly Run[]; readonly stats: FileStats }
  | { readonly outcome: 'moved' | 'special-file' }

/** Of a chunker's buffer. */
export const READ_BUFFER_BYTES = 4 * 1024 * 1024

const ATTEMPTS = 3
/**
 * The kernel's clock for file times ticks this often at the slowest. A file changed within one tick may change again
 * without its times showing it, so what was read of it counts only when it reads the same once more.
 */
const CLOCK_STEP_NS = 20_000_000n
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
const MAX_PATH_BYTES = 3500

/** Whether a file is one chunk, not empty, and may be read as the walk saw it: see {@link readSmallFile}. */
export function isSmallFile(path: ByteString, { size, ctimeNs }: FileStats): boolean {
  if (size === 0 || size > MIN_CHUNK_BYTES || path.length >= MAX_PATH_BYTES) return false
  return BigInt(Date.now()) * 1_000_000n - ctimeNs >= CLOCK_STEP_NS
}

/**
 * Reads a small file that is as the walk saw it, with the fewest calls. False when it has changed since, or when
 * anything else is not plain: then `readContent` finds out. Reads at a position, which takes nothing out of a pipe that
 * somebody may have put there meanwhile.
 * @param path absolute
 * @param expected what the walk saw of it
 * @param buffer gets the content at its beginning
 */
export function readSmallFile(path: ByteString, expected: FileStats, buffer: Buffer): boolean {
  let fd: number | null = null
  try {
    fd = openSync(toFilePath(path), READ_FLAGS)
    if (fill(fd, buffer, 0, expected.size, 0) < expected.size) return false
    return isSameState(expected, fstatSync(fd, { bigint: true }))
  } catch {
    return false
  } finally {
    if (fd !== null) closeSync(fd)
  }
}

/**
 * Reads a file and cuts it into runs. What is returned was the file's content at one moment: its size, times and inode
 * were the same before and after. A file that changes meanwhile is read up to three times.
 * @param expected what the walk saw of it
 * @param oldRuns an earlier content of the same path, whose cuts are tried first
 * @throws `NodeJS.ErrnoException`
 */
export async function readContent(
  reader: ContentReader,
  parent: ByteString,
  name: ByteString,
  expected: FileStats,
  oldRuns: readonly Run[],
): Promise<ReadContent> {
  const path = filePath(reader, parent, name)
  if (isSmallFile(path, expected)) {
    const content = reader.chunker.buffer.subarray(0, expected.size)
    if (readSmallFile(path, expected, content))
      return { outcome: 'read', runs: [keepSmall(reader, content)], stats: expected }
  }
  const opened = openFile(reader, parent, name, expected)
  const { fd } = opened
  let { stats } = opened
  let before: readonly Run[] | null = null
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (!stats.isFile()) return { outcome: 'special-file' }
      const isFresh = BigInt(Date.now()) * 1_000_000n - stats.ctimeNs < CLOCK_STEP_NS
      const runs = await readRuns(reader, fd, stats, oldRuns)
      const after = fstatSync(fd, { bigint: true })
      if (runs !== null && isSameContent(stats, after)) {
        if (!isFresh || (before !== null && isEqual(before, runs)))
          return { outcome: 'read', runs, stats: fileStats(after) }
        before = runs
      } else before = null
      stats = after
    }
    return { outcome: 'moved' }
  } finally {
    closeSync(fd)
  }
}

/** What the walk found there; the path may lead elsewhere by now. */
export function filePath({ directory }: ContentReader, parent: ByteString, name: ByteString): ByteString {
  return `${directory}/${joinPath(parent, name)}`
}

function keepSmall(reader: ContentReader, content: Buffer): Run {
  const id = reader.identify(content)
  reader.keep(id, content)
  return { kind: 'chunk', id, length: content.length }
}

/**
 * By path first, which is quick; what it gives is used only when it is the inode that the walk saw. Else name by name,
 * following no link.
 */
function openFile(
  reader: ContentReader,
  parent: ByteString,
  name: ByteString,
  expected: FileStats,
): { readonly fd: number; readonly stats: BigIntStats } {
  const path = filePath(reader, parent, name)
  if (path.length < MAX_PATH_BYTES) {
    const fd = openSync(toFilePath(path), READ_FLAGS)
    const stats = fstatSync(fd, { bigint: true })
    if (stats.ino === expected.ino && stats.dev === expected.dev) return { fd, stats }
    closeSync(fd)
  }
  const fd = openSync(childPath(reader.cursor.open(parent), name), READ_FLAGS)
  return { fd, stats: fstatSync(fd, { bigint: true }) }
}

function isSameContent(before: BigIntStats, after: BigIntStats): boolean {
  return before.size === after.size && before.mtimeNs === after.mtimeNs && before.ctimeNs === after.ctimeNs
}

function isEqual(left: readonly Run[], right: readonly Run[]): boolean {
  return left.length === right.length && left.every((run, index) => run.id === right[index]?.id)
}

/** `null` when the file ended early. */
async function readRuns(
  reader: ContentReader,
  fd: number,
  stats: BigIntStats,
  oldRuns: readonly Run[],
): Promise<Run[] | null> {
  const size = Number(stats.size)
  if (size === 0) return []
  if (size <= MIN_CHUNK_BYTES) {
    const { buffer } = reader.chunker
    if (fill(fd, buffer, 0, size, 0) < size) return null
    return [keepSmall(reader, buffer.subarray(0, size))]
  }
  const runs: Run[] = []
  const isSparse = stats.blocks * 512n < stats.size
  const segments = isSparse ? findHoles(reader, fd, size) : [{ start: 0, end: size, isHole: false }]
  for await (const { start, end, isHole } of segments) {
    if (isHole) runs.push({ kind: 'zeros', id: '', length: end - start })
    else if (!(await readSegment(reader, fd, start, end, oldRuns, runs))) return null
  }
  return runs
}

/** Follows the old cuts while their content is there, and looks for new ones until it meets them again. */
async function readSegment(
  reader: ContentReader,
  fd: number,
  start: number,
  end: number,
  oldRuns: readonly Run[],
  runs: Run[],
): Promise<boolean> {
  const { chunker } = reader
  const { buffer } = chunker
  const oldPlaces = new Map<ContentId, number>()
  if (oldRuns.length > 1) oldRuns.forEach((run, index) => void oldPlaces.set(run.id, index))
  let follow = start === 0 ? 0 : oldRuns.length
  let first = 0
  let filled = 0
  for (let position = start; position < end;) {
    const left = end - position
    if (filled - first < MAX_CHUNK_BYTES && filled - first < left) {
      buffer.copyWithin(0, first, filled)
      filled -= first
      first = 0
      const wanted = Math.min(buffer.length - filled, left - filled)
      if (fill(fd, buffer, filled, wanted, position + filled) < wanted) return false
      filled += wanted
      await reader.pause()
    }
    const old = oldRuns[follow]
    // The last old cut was made by the file's end: a file that grew is cut anew there.
    const isUsable =
      old?.kind === 'chunk' && (follow < oldRuns.length - 1 ? old.length <= left : old.length === left)
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
    const filled = fill(fd, scratch, 0, Math.min(scratch.length, size - position), position)
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

function fill(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
  let done = 0
  while (done < length) {
    const count = readSync(fd, buffer, offset + done, length - done, position + done)
    if (count === 0) break
    done += count
  }
  return done
}
