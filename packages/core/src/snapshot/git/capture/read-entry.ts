import { closeSync, constants, fstatSync, openSync, readSync, type BigIntStats } from 'node:fs'
import { open } from 'node:fs/promises'
import { readLinkBytes } from '../../../filesystem/native-bytes.ts'
import { pathResolver, type BytePath } from '../../byte-path.ts'
import { isLink, isSameStamp, isSettled, type CapturedEntry, type FileStamp } from '../table/file-stamp.ts'
import { lstatIfAllowed, stampOf } from '../table/file-stamp.ts'
import {
  objectId,
  writeLargeBlob,
  writeObject,
  writeObjectInPool,
  type PrivateRepository,
} from '../private/private-repository.ts'

export interface EntrySource {
  readonly path: string
  readonly own: PrivateRepository
  readonly signal?: AbortSignal | undefined
}

export type EntryReading =
  | { readonly kind: 'read'; readonly entry: CapturedEntry; readonly isStable: boolean }
  | { readonly kind: 'absent' | 'unreadable' | 'special-file' | 'directory' }

const LARGE_BYTES = 8 << 20
/** Compressed in the thread pool: it would hold up the event loop. */
const POOL_BYTES = 128 << 10
const ATTEMPTS = 3
// NONBLOCK: opening a FIFO that took the file's place must not wait for a writer.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export function kindOf(stats: BigIntStats): 'file' | 'symlink' | 'directory' | 'special-file' {
  if (stats.isFile()) return 'file'
  if (stats.isSymbolicLink()) return 'symlink'
  return stats.isDirectory() ? 'directory' : 'special-file'
}

/**
 * Reads one file or link as raw bytes, without any conversion, and stores it. A file that changes while it is read is
 * read again, a few times; then the last reading counts and is marked as not stable.
 * @param isKept says of an id that its content need not be stored
 */
export async function readEntry(
  source: EntrySource,
  path: BytePath,
  isKept: (id: string) => boolean,
): Promise<EntryReading> {
  const target = pathResolver(source.path)(path)
  for (let attempt = 1; ; attempt += 1) {
    const readAtNs = BigInt(Date.now()) * 1_000_000n
    const stats = lstatIfAllowed(target)
    if (stats === null || stats === 'denied') return { kind: stats === null ? 'absent' : 'unreadable' }
    const kind = kindOf(stats)
    if (kind === 'directory' || kind === 'special-file') return { kind }
    const stamp = stampOf(stats)
    let content: string | null
    try {
      content = await readContent(source, target, stamp, isKept)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'EACCES' || code === 'EPERM') return { kind: 'unreadable' }
      if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP' && code !== 'EINVAL') throw error
      content = null
    }
    const isStable = content !== null && isStillThere(target, stamp)
    if (content !== null && (isStable || attempt >= ATTEMPTS)) {
      const settled = isStable && isSettled(stamp, readAtNs)
      return { kind: 'read', entry: { ...stamp, id: content, settled }, isStable }
    }
    if (attempt > ATTEMPTS * 10) return { kind: 'unreadable' }
  }
}

function isStillThere(target: string | Buffer, stamp: FileStamp): boolean {
  const stats = lstatIfAllowed(target)
  return stats !== null && stats !== 'denied' && isSameStamp(stamp, stampOf(stats))
}

/** @returns the blob's id, or `null` when the file changed its length meanwhile */
async function readContent(
  source: EntrySource,
  target: string | Buffer,
  stamp: FileStamp,
  isKept: (id: string) => boolean,
): Promise<string | null> {
  if (isLink(stamp.mode)) return store(source, readLinkBytes(target), isKept)
  if (stamp.size <= LARGE_BYTES) {
    const content = readSmallFile(target, stamp)
    return content === null ? null : store(source, content, isKept)
  }
  const file = await open(target as string, READ_FLAGS)
  try {
    const opened = await file.stat({ bigint: true })
    if (opened.ino !== stamp.inode) return null
    return await writeLargeBlob(source.own, file, stamp.size, source.signal)
  } finally {
    await file.close()
  }
}

async function store(
  { own }: EntrySource,
  content: Buffer,
  isKept: (id: string) => boolean,
): Promise<string> {
  const id = objectId(own, 'blob', content)
  if (isKept(id)) return id
  if (content.length > POOL_BYTES) await writeObjectInPool(own, 'blob', id, content)
  else writeObject(own, 'blob', id, content)
  return id
}

/** Synchronous, because that is several times faster for small files. */
function readSmallFile(target: string | Buffer, stamp: FileStamp): Buffer | null {
  const file = openSync(target, READ_FLAGS)
  try {
    if (fstatSync(file, { bigint: true }).ino !== stamp.inode) return null
    const content = Buffer.allocUnsafe(stamp.size + 1)
    let length = 0
    for (;;) {
      const count = readSync(file, content, length, content.length - length, null)
      if (count === 0) break
      length += count
      if (length > stamp.size) return null
    }
    return length === stamp.size ? content.subarray(0, length) : null
  } finally {
    closeSync(file)
  }
}
