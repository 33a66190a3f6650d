import type { Buffer } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, type BigIntStats } from 'node:fs'
import {
  childPath,
  MAX_PATH_BYTES,
  toFilePath,
  type ByteString,
} from '../../../filesystem/directory-handle.ts'
import { MIN_CHUNK_BYTES } from '../../format/chunker.ts'
import type { Run } from '../../format/tree-runs.ts'
import { fileStats, isSameState, type FileStats } from '../known/file-stats.ts'
import { fillBuffer } from '../../../filesystem/fill-buffer.ts'
import { joinPath } from '../known/known-tree.ts'
import { keepSmall, mayHaveHoles, readRuns, type ContentReader } from './read-runs.ts'

/** `moved`: the file kept changing while it was read. */
export type ReadContent =
  | { readonly outcome: 'read'; readonly runs: readonly Run[]; readonly stats: FileStats }
  | { readonly outcome: 'moved' | 'special-file' }

const ATTEMPTS = 3
/**
 * The kernel's clock for file times ticks this often at the slowest. A file changed within one tick may change again
 * without its times showing it, so what was read of it counts only when it reads the same once more.
 */
const CLOCK_STEP_NS = 20_000_000n
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/** Whether a file is not empty and may be read as the walk saw it: see {@link readWhole}. */
export function isReadWhole(path: ByteString, { size, ctimeNs }: FileStats, maxBytes: number): boolean {
  if (size === 0 || size > maxBytes || path.length >= MAX_PATH_BYTES) return false
  return BigInt(Date.now()) * 1_000_000n - ctimeNs >= CLOCK_STEP_NS
}

/**
 * Reads a file that is as the walk saw it, with the fewest calls. False when it has changed since, or when anything else
 * is not plain (one of several chunks may have holes, too): then `readContent` finds out. Reads at a position, which takes
 * nothing out of a pipe that somebody may have put there meanwhile.
 * @param path absolute
 * @param expected what the walk saw of it
 * @param buffer gets the content at its beginning
 */
export function readWhole(path: ByteString, expected: FileStats, buffer: Buffer): boolean {
  let fd: number | null = null
  try {
    fd = openSync(toFilePath(path), READ_FLAGS)
    if (fillBuffer(fd, buffer, 0, expected.size, 0) < expected.size) return false
    const stats = fstatSync(fd, { bigint: true })
    return isSameState(expected, stats) && (expected.size <= MIN_CHUNK_BYTES || !mayHaveHoles(stats))
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
  if (isReadWhole(path, expected, MIN_CHUNK_BYTES)) {
    const content = reader.chunker.buffer.subarray(0, expected.size)
    if (readWhole(path, expected, content))
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
