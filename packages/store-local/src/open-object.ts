import { close, closeSync, read, readSync } from 'node:fs'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { resolveByteRange, type GetOptions, type StoredObject } from '@ws/core'
import { corrupt, toStoreError } from './file-error.ts'
import { openObjectFile, parseObjectInfo, readObjectInfo } from './object-file.ts'

const readAsync = promisify(read)
const closeFile = promisify(close)

const CHUNK_BYTES = 1_048_576
/** Files and ranges up to this size are read at once and closed: nothing stays open, and one synchronous read is fastest. */
const SMALL_BYTES = 262_144

/** Opens the object in the file, or `null`. A file stays readable while it is open, also when it is replaced meanwhile. */
export function openObject(
  key: string,
  path: string,
  { range, signal, reusesChunks = false }: GetOptions,
): StoredObject | null {
  const opened = openObjectFile(key, path)
  if (opened === null) return null
  const { fd, stats } = opened
  let keepsOpen = false
  try {
    const whole = stats.size <= SMALL_BYTES ? readWhole(fd, 0, stats.size) : null
    const { info, contentCrc } =
      whole === null ? readObjectInfo(key, fd, stats) : parseObjectInfo(key, whole, stats)
    const { start, end } =
      range === undefined ? { start: 0, end: info.size } : resolveByteRange(key, range, info.size)
    const expectedCrc = range === undefined ? contentCrc : null
    if (whole !== null) {
      const content = whole.subarray(start, end)
      if (expectedCrc !== null && zlib.crc32(content) !== expectedCrc) throw damagedContent(key)
      return { info, body: inMemory(content, signal), discard: async () => undefined }
    }
    if (end - start <= SMALL_BYTES && expectedCrc === null) {
      const content = readWhole(fd, start, end - start)
      if (content.length < end - start) throw cutShort(key)
      return { info, body: inMemory(content, signal), discard: async () => undefined }
    }
    keepsOpen = true
    return { info, ...streamFile(key, fd, { start, end, expectedCrc, reusesChunks, signal }) }
  } finally {
    if (!keepsOpen) closeSync(fd)
  }
}

async function* inMemory(content: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  signal?.throwIfAborted()
  if (content.length > 0) yield content
}

interface StreamedRange {
  readonly start: number
  readonly end: number
  /** Of the whole object, when all of it is read. */
  readonly expectedCrc: number | null
  readonly reusesChunks: boolean
  readonly signal: AbortSignal | undefined
}

/** Reads one chunk ahead, so that the disk works while the consumer does. */
function streamFile(
  key: string,
  fd: number,
  { start, end, expectedCrc, reusesChunks, signal }: StreamedRange,
): Pick<StoredObject, 'body' | 'discard'> {
  let pending: Promise<Buffer> | null = null
  let isClosed = false
  const memory = reusesChunks ? takeTurns(Math.min(CHUNK_BYTES, end - start)) : null
  const discard = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    await pending?.catch(() => undefined)
    memory?.free()
    await closeFile(fd).catch(() => undefined)
  }
  const readChunk = (position: number): Promise<Buffer> | null => {
    if (position >= end) return null
    const length = Math.min(CHUNK_BYTES, end - position)
    const chunk = memory === null ? Buffer.allocUnsafeSlow(length) : Buffer.from(memory.next(), 0, length)
    const reading = readFully(key, fd, position, chunk)
    // It is awaited later, or never; a failure in between must not count as unhandled.
    reading.catch(() => undefined)
    return reading
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let crc = 0
    let position = start
    try {
      if (!isClosed) pending = readChunk(position)
      while (pending !== null && !isClosed) {
        signal?.throwIfAborted()
        const chunk: Buffer = await pending
        if (isClosed) return
        position += chunk.length
        pending = readChunk(position)
        if (expectedCrc !== null) crc = zlib.crc32(chunk, crc)
        if (position === end && expectedCrc !== null && crc !== expectedCrc) throw damagedContent(key)
        yield chunk
      }
    } finally {
      await discard()
    }
  }
  return { body: chunks(), discard }
}

/**
 * Two pieces of memory in turns: one is read into while the other is with the reader. Given back at the end, because V8
 * lets some 64 MB of dead buffers gather before it looks for them.
 */
function takeTurns(chunkBytes: number): { next(): ArrayBuffer; free(): void } {
  const turns: ArrayBuffer[] = []
  let taken = 0
  return {
    next: () => (turns[taken++ % 2] ??= new ArrayBuffer(chunkBytes)),
    free: () => turns.forEach((turn) => turn.transfer(0)),
  }
}

async function readFully(key: string, fd: number, start: number, chunk: Buffer): Promise<Buffer> {
  let filled = 0
  try {
    while (filled < chunk.length) {
      const { bytesRead } = await readAsync(fd, chunk, filled, chunk.length - filled, start + filled)
      if (bytesRead === 0) throw cutShort(key)
      filled += bytesRead
    }
  } catch (error) {
    throw toStoreError(error, 'read', key)
  }
  return chunk
}

function readWhole(fd: number, start: number, length: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const count = readSync(fd, whole, filled, length - filled, start + filled)
    if (count === 0) break
    filled += count
  }
  return whole.subarray(0, filled)
}

function cutShort(key: string): Error {
  return corrupt(key, 'its file was cut short while it was read')
}

function damagedContent(key: string): Error {
  return corrupt(key, 'its content does not match its checksum')
}
