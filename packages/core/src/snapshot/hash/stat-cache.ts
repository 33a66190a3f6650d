import crypto from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { recentlyUsed } from '../../recently-used.ts'
import { decodePath, encodePath } from '../../filesystem/path-text.ts'
import type { ScanEntry } from '../../filesystem/scan-entry.ts'
import { replaceFile } from './replace-file.ts'

const MAGIC = 'ws stat cache 1\n'
const DIGEST_BYTES = 32
/** Big endian: dev, ino, mtime, ctime, size in 8 bytes each, mode and path length in 4 each, and the content's SHA-256. */
const FIXED_BYTES = 5 * 8 + 2 * 4 + DIGEST_BYTES

/** What the last capture of a directory found. */
export interface CaptureMemory {
  readonly entries: readonly ScanEntry[]
  /** The manifest that came of them; null when only the files are known, from the file. */
  readonly manifest: { readonly ref: string; readonly rules: string } | null
}

/** Of this thread. */
const memories = recentlyUsed<CaptureMemory>({
  most: 16,
  mostWeight: 200_000,
  weightOf: ({ entries }) => entries.length,
})

/**
 * What this thread remembers, else what the file holds. A file that is missing, damaged or of another format counts as
 * empty, which costs time and nothing else.
 */
export function recallCapture(directory: string, root: string): CaptureMemory {
  const path = cachePath(directory, root)
  return memories.get(path) ?? { entries: readEntries(path), manifest: null }
}

/**
 * The file is written when there is something new for a process to come: `hasNews`, a file that was read and is settled.
 * Failing to write it loses speed only, so it does not fail the capture.
 */
export function rememberCapture(
  directory: string,
  root: string,
  memory: CaptureMemory,
  hasNews: boolean,
): void {
  const path = cachePath(directory, root)
  memories.set(path, memory)
  if (!hasNews) return
  try {
    replaceFile(path, encodeEntries(memory.entries))
  } catch {
    // The next process hashes again.
  }
}

function cachePath(directory: string, root: string): string {
  return join(directory, `stat-cache-${crypto.hash('sha256', encodePath(root), 'hex').slice(0, 16)}`)
}

function readEntries(path: string): ScanEntry[] {
  try {
    return decodeEntries(readFileSync(path))
  } catch {
    return []
  }
}

function encodeEntries(entries: readonly ScanEntry[]): Buffer {
  const settled = entries.filter((entry) => entry.settled)
  let total = MAGIC.length + DIGEST_BYTES
  for (const { path } of settled) total += FIXED_BYTES + encodePath(path).length
  const buffer = Buffer.allocUnsafeSlow(total)
  const view = new DataView(buffer.buffer)
  let at = buffer.write(MAGIC)
  for (const entry of settled) {
    const path = encodePath(entry.path)
    view.setBigUint64(at, BigInt(entry.dev))
    view.setBigUint64(at + 8, entry.ino)
    view.setBigInt64(at + 16, entry.mtimeNs)
    view.setBigInt64(at + 24, entry.ctimeNs)
    view.setFloat64(at + 32, entry.size)
    view.setUint32(at + 40, entry.mode)
    view.setUint32(at + 44, path.length)
    buffer.write(entry.content, at + 48, 'hex')
    at += FIXED_BYTES + path.copy(buffer, at + FIXED_BYTES)
  }
  crypto.hash('sha256', buffer.subarray(0, at), 'buffer').copy(buffer, at)
  return buffer
}

function decodeEntries(buffer: Buffer): ScanEntry[] {
  const end = buffer.length - DIGEST_BYTES
  if (end < MAGIC.length || buffer.toString('latin1', 0, MAGIC.length) !== MAGIC) return []
  if (!crypto.hash('sha256', buffer.subarray(0, end), 'buffer').equals(buffer.subarray(end))) return []
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
  const entries: ScanEntry[] = []
  for (let at = MAGIC.length; at < end;) {
    const pathStart = at + FIXED_BYTES
    const pathEnd = pathStart + view.getUint32(at + 44)
    entries.push({
      path: decodePath(buffer.subarray(pathStart, pathEnd)),
      type: 'file',
      mode: view.getUint32(at + 40),
      size: view.getFloat64(at + 32),
      content: buffer.toString('hex', at + 48, pathStart),
      dev: Number(view.getBigUint64(at)),
      ino: view.getBigUint64(at + 8),
      mtimeNs: view.getBigInt64(at + 16),
      ctimeNs: view.getBigInt64(at + 24),
      settled: true,
    })
    at = pathEnd
  }
  return entries
}
