import { randomFillSync } from 'node:crypto'
import { constants, closeSync, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import zlib from 'node:zlib'
import type { ObjectInfo } from '@ws/core'
import { corrupt, errnoOf } from './file-error.ts'

/*
 * An object's file: the content, then what belongs to it, so that one rename puts all of it in place at once and a
 * range of the content is a range of the file. Little-endian:
 *
 *   content | extra (JSON, or nothing) | footer:
 *   0 content bytes u64 | 8 etag, 16 random bytes | 24 CRC-32 of the content | 28 extra bytes u32
 *   32 CRC-32 of extra and footer up to here | 36 format version u32 | 40 "wsobject"
 */
const FOOTER_BYTES = 48
const MAGIC = Buffer.from('wsobject', 'latin1')
const FORMAT_VERSION = 1
/** Enough for the footer and ordinary extras in one read. */
const TAIL_BYTES = 512
const MAX_EXTRA_BYTES = 65_536

export interface ObjectFileInfo {
  readonly info: ObjectInfo
  readonly contentCrc: number
}

interface Extra {
  readonly contentType?: string | undefined
  readonly metadata?: Readonly<Record<string, string>> | undefined
}

/** What follows the content, and the etag that it records: new and random for each put. */
export function encodeTrailer(
  contentBytes: number,
  contentCrc: number,
  extra: Extra,
): { trailer: Buffer; etag: string } {
  const isEmpty = extra.contentType === undefined && Object.keys(extra.metadata ?? {}).length === 0
  const extraBytes = Buffer.from(isEmpty ? '' : JSON.stringify(extra))
  const trailer = Buffer.alloc(extraBytes.length + FOOTER_BYTES)
  extraBytes.copy(trailer)
  const footer = trailer.subarray(extraBytes.length)
  footer.writeBigUInt64LE(BigInt(contentBytes), 0)
  randomFillSync(footer, 8, 16)
  footer.writeUInt32LE(contentCrc, 24)
  footer.writeUInt32LE(extraBytes.length, 28)
  footer.writeUInt32LE(zlib.crc32(trailer.subarray(0, extraBytes.length + 32)), 32)
  footer.writeUInt32LE(FORMAT_VERSION, 36)
  MAGIC.copy(footer, 40)
  return { trailer, etag: footer.toString('hex', 8, 24) }
}

/**
 * Opens an object's file for reading; `null` when there is none. Never follows a link in its place, and does not wait
 * for a writer when a named pipe is.
 */
export function openObjectFile(key: string, path: string): { fd: number; stats: Stats } | null {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) throw corrupt(key, 'something else than a file is in its place')
    return { fd, stats }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** What the end of an open file says. @throws `CORRUPT` */
export function readObjectInfo(key: string, fd: number, stats: Stats): ObjectFileInfo {
  let tail = readTail(fd, stats.size, TAIL_BYTES)
  const extraBytes = tail.length < FOOTER_BYTES ? 0 : tail.readUInt32LE(tail.length - 20)
  if (extraBytes + FOOTER_BYTES > tail.length && extraBytes <= MAX_EXTRA_BYTES)
    tail = readTail(fd, stats.size, extraBytes + FOOTER_BYTES)
  return parseObjectInfo(key, tail, stats)
}

/** The same from the last bytes of the file, at least the whole trailer. @throws `CORRUPT` */
export function parseObjectInfo(key: string, tail: Buffer, stats: Stats): ObjectFileInfo {
  const footer = tail.subarray(Math.max(0, tail.length - FOOTER_BYTES))
  if (footer.length < FOOTER_BYTES || !footer.subarray(40).equals(MAGIC))
    throw corrupt(key, 'its file has no end mark; it was cut short or not written by this store')
  if (footer.readUInt32LE(36) !== FORMAT_VERSION)
    throw corrupt(key, `its file has the unknown format ${footer.readUInt32LE(36)}`)
  const extraBytes = footer.readUInt32LE(28)
  const size = Number(footer.readBigUInt64LE(0))
  const trailerStart = tail.length - FOOTER_BYTES - extraBytes
  if (trailerStart < 0 || size + extraBytes + FOOTER_BYTES !== stats.size)
    throw corrupt(key, 'its file does not have the recorded length')
  if (zlib.crc32(tail.subarray(trailerStart, tail.length - 16)) !== footer.readUInt32LE(32))
    throw corrupt(key, 'its trailer does not match its checksum')
  const extraText = tail.toString('utf8', trailerStart, trailerStart + extraBytes)
  const extra = (extraText === '' ? {} : JSON.parse(extraText)) as Extra
  return {
    contentCrc: footer.readUInt32LE(24),
    info: {
      key,
      size,
      etag: footer.toString('hex', 8, 24),
      modifiedAt: new Date(stats.mtimeMs),
      contentType: extra.contentType ?? 'application/octet-stream',
      metadata: extra.metadata ?? {},
    },
  }
}

/** Opens, reads and closes; `null` when there is no object. @throws `CORRUPT` */
export function readInfoAt(key: string, path: string): ObjectInfo | null {
  const opened = openObjectFile(key, path)
  if (opened === null) return null
  try {
    return readObjectInfo(key, opened.fd, opened.stats).info
  } finally {
    closeSync(opened.fd)
  }
}

function readTail(fd: number, fileBytes: number, wanted: number): Buffer {
  const length = Math.min(fileBytes, wanted)
  const tail = Buffer.allocUnsafe(length)
  let filled = 0
  while (filled < length) {
    const count = readSync(fd, tail, filled, length - filled, fileBytes - length + filled)
    if (count === 0) break
    filled += count
  }
  return tail.subarray(0, filled)
}
