import crypto, { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync, type BigIntStats } from 'node:fs'
import { fileEntry, isSettled, isUntouched, type ScanEntry } from './scan-entry.ts'
import { nativePath } from './scan-names.ts'

/** What reading a file gave. `moved`: it kept changing; `entry` is the last that was read, if it still is a file. */
export type FileHash =
  | { readonly outcome: 'hashed'; readonly entry: ScanEntry }
  | { readonly outcome: 'moved'; readonly entry: ScanEntry | null }
  | { readonly outcome: 'unreadable' | 'absent'; readonly entry: null }

const ATTEMPTS = 3
const BUFFER_BYTES = 1024 * 1024
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

let shared: Buffer | null = null

/**
 * Hashes the file that `expected` describes. A file that changes meanwhile is read up to three times.
 * Opens nothing but what a stat has just called a regular file, and neither follows a link nor waits for a pipe's
 * writer if it was swapped since. Reads no more than the stat promised, so a swapped-in device ends.
 * @throws `NodeJS.ErrnoException` only when the process itself is out of descriptors or memory.
 */
export function hashFile(root: string, expected: ScanEntry, readingBeganNs: bigint): FileHash {
  const path = nativePath(`${root}/${expected.path}`)
  let current = expected
  let last: ScanEntry | null = null
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    let read: { content: string; stats: BigIntStats }
    try {
      read = readOnce(path, current.size)
    } catch (error) {
      return { outcome: classifyFailure(error), entry: null }
    }
    if (!read.stats.isFile()) return { outcome: 'moved', entry: null }
    last = fileEntry(expected.path, read.stats, read.content, isSettled(read.stats.ctimeNs, readingBeganNs))
    if (isUntouched(current, read.stats)) return { outcome: 'hashed', entry: last }
    current = last
  }
  return { outcome: 'moved', entry: last }
}

function readOnce(path: string | Buffer, size: number): { content: string; stats: BigIntStats } {
  const descriptor = openSync(path, OPEN_FLAGS)
  try {
    shared ??= Buffer.allocUnsafeSlow(BUFFER_BYTES)
    const content =
      size < BUFFER_BYTES ? hashSmall(descriptor, size, shared) : hashLarge(descriptor, size, shared)
    return { content, stats: fstatSync(descriptor, { bigint: true }) }
  } finally {
    closeSync(descriptor)
  }
}

function hashSmall(descriptor: number, size: number, buffer: Buffer): string {
  let length = 0
  while (length < size) {
    const count = readSync(descriptor, buffer, length, size - length, null)
    if (count === 0) break
    length += count
  }
  return crypto.hash('sha256', buffer.subarray(0, length), 'hex')
}

function hashLarge(descriptor: number, size: number, buffer: Buffer): string {
  const digest = createHash('sha256')
  let length = 0
  while (length < size) {
    const count = readSync(descriptor, buffer, 0, Math.min(buffer.length, size - length), null)
    if (count === 0) break
    digest.update(buffer.subarray(0, count))
    length += count
  }
  return digest.digest('hex')
}

const exhaustion = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])
/** What a call gives when the path is of another kind than a moment ago. */
const replacement = new Set(['ENOTDIR', 'ELOOP', 'ENXIO', 'EAGAIN', 'EINVAL', 'EISDIR'])

/** Tells absence from refusal, and lets an exhausted process fail instead of passing for either. */
export function classifyFailure(error: unknown): 'absent' | 'unreadable' | 'moved' {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'absent'
  if (code === undefined || exhaustion.has(code)) throw error
  return replacement.has(code) ? 'moved' : 'unreadable'
}
