import { close, closeSync, constants, fstatSync, fsync, openSync, write, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { readBody, type ObjectBody, type ObjectInfo, type PutOptions } from '@ws/core'
import { encodeTrailer } from './object-file.ts'
import { removeFile, type StoreFolders } from './store-folders.ts'

const writeAsync = promisify(write)
const syncFile = promisify(fsync)
const closeFile = promisify(close)

/** Small writes are gathered up to this size; chunks of half of it and more are written as they come. */
const BUFFER_BYTES = 1_048_576
/** Up to this size a synchronous write is several times faster than one on the thread pool, and as short as one. */
const SMALL_BYTES = 262_144
/** Between two writes of this size an abort is noticed. */
const SLICE_BYTES = 8_388_608

let counter = 0

/** A whole object in a temporary file, on the disk, waiting to be put in place. */
export interface WrittenObject {
  readonly path: string
  readonly info: ObjectInfo
}

/**
 * Writes the body and its trailer to a temporary file. When anything fails, no file is left.
 */
export async function writeObjectFile(
  folders: StoreFolders,
  key: string,
  body: ObjectBody,
  options: PutOptions,
  sync: boolean,
): Promise<WrittenObject> {
  counter += 1
  const path = join(folders.temporary, `${folders.ownerId}-${counter}`)
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const fd = openSync(path, flags, 0o666)
  let isOpen = true
  try {
    const content = await writeContent(fd, key, body, options)
    const { trailer, etag } = encodeTrailer(content.bytes, content.crc, options)
    // Small content waits for the trailer, so that a small object is one write.
    writeAllSync(fd, Buffer.concat([content.rest, trailer]), content.bytes - content.rest.length)
    const { mtimeMs } = fstatSync(fd)
    if (sync) await syncFile(fd)
    isOpen = false
    if (sync) await closeFile(fd)
    else closeSync(fd)
    options.signal?.throwIfAborted()
    const info: ObjectInfo = {
      key,
      size: content.bytes,
      etag,
      modifiedAt: new Date(mtimeMs),
      contentType: options.contentType ?? 'application/octet-stream',
      metadata: { ...options.metadata },
    }
    return { path, info }
  } catch (error) {
    if (isOpen) closeSync(fd)
    removeFile(path)
    throw error
  }
}

interface Content {
  readonly bytes: number
  readonly crc: number
  /** The last bytes, which are not in the file yet. */
  readonly rest: Uint8Array
}

async function writeContent(
  fd: number,
  key: string,
  body: ObjectBody,
  options: PutOptions,
): Promise<Content> {
  let bytes = 0
  let crc = 0
  let position = 0
  let buffer: Buffer | null = null
  let filled = 0
  const flush = async (): Promise<void> => {
    if (buffer === null || filled === 0) return
    await writeAll(fd, buffer.subarray(0, filled), position, options.signal)
    position += filled
    filled = 0
  }
  for await (const chunk of readBody(key, body, options)) {
    bytes += chunk.length
    crc = zlib.crc32(chunk, crc)
    if (chunk.length >= BUFFER_BYTES / 2) {
      await flush()
      await writeAll(fd, chunk, position, options.signal)
      position += chunk.length
      continue
    }
    if (buffer === null || filled + chunk.length > buffer.length) {
      await flush()
      // Most objects are one small chunk: they get no large buffer.
      buffer = Buffer.allocUnsafe(buffer === null ? Math.max(chunk.length, 16_384) : BUFFER_BYTES)
    }
    buffer.set(chunk, filled)
    filled += chunk.length
  }
  if (filled > SMALL_BYTES) await flush()
  return { bytes, crc, rest: buffer?.subarray(0, filled) ?? new Uint8Array(0) }
}

async function writeAll(fd: number, data: Uint8Array, start: number, signal?: AbortSignal): Promise<void> {
  let offset = 0
  while (offset < data.length) {
    signal?.throwIfAborted()
    const length = Math.min(SLICE_BYTES, data.length - offset)
    const { bytesWritten } = await writeAsync(fd, data, offset, length, start + offset)
    offset += bytesWritten
  }
}

function writeAllSync(fd: number, data: Uint8Array, start: number): void {
  let offset = 0
  while (offset < data.length) offset += writeSync(fd, data, offset, data.length - offset, start + offset)
}
