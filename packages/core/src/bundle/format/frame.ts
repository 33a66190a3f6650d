import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import zlib, { type ZstdOptions } from 'node:zlib'
import { readBytes } from './byte-reader.ts'
import { damagedObject } from './damaged-object.ts'
import type { RepositoryKeys } from './repository-keys.ts'
import { borrowZstdEncoder, type ZstdEncoder, type ZstdEncoderOptions } from './zstd-encoder.ts'

export interface FramePosition {
  readonly packId: string
  /** `INDEX_FRAME` for the index. */
  readonly frame: number
}

/** What goes into a frame, compressed already. */
export interface FrameContent {
  readonly codec: number
  readonly rawBytes: number
  readonly payload: Uint8Array
}

export const INDEX_FRAME = 0xffff_ffff
/** More is refused before anything is allocated. */
export const MAX_RAW_FRAME_BYTES = 8 * 1024 * 1024
export const FRAME_HEADER_BYTES = 12

const PLAIN = 0
const ZSTD = 1
const DEFLATE = 2
const SEALED = 255

/**
 * Level 3 with half of its tables, which stay in a core's second cache: a tenth faster for frames of 1 MiB, and less
 * than a hundredth larger.
 */
const compressParams: Readonly<Record<number, number>> = {
  [zlib.constants.ZSTD_c_compressionLevel]: 3,
  [zlib.constants.ZSTD_c_hashLog]: 16,
  [zlib.constants.ZSTD_c_chainLog]: 15,
}
/** A sixth faster for source text, for 6 % more bytes; a third faster for logs and numbers, for no more. */
const bulkParams: Readonly<Record<number, number>> = {
  [zlib.constants.ZSTD_c_compressionLevel]: 2,
  [zlib.constants.ZSTD_c_hashLog]: 15,
}
/** A frame of the usual size ends with a small file; larger ones are taken too. */
const USUAL_FRAME_BYTES = 1024 * 1024 + 64 * 1024
const usualEncoder: ZstdEncoderOptions = { params: compressParams, blockBytes: USUAL_FRAME_BYTES }
const bulkEncoder: ZstdEncoderOptions = { params: bulkParams, blockBytes: USUAL_FRAME_BYTES }
/** So much of a save is compressed well: most saves are small, and there are many of them. */
const BULK_AFTER_BYTES = 8 * 1024 * 1024
const NONCE_BYTES = 12
const TAG_BYTES = 16
const SEALED_HEADER_BYTES = 12
/** Sealing and padding add less than this to the largest payload. */
const MAX_STORED_BYTES = MAX_RAW_FRAME_BYTES + 2 * 1024 * 1024
/** A sealed frame is padded at least to this, so that a save of one small file does not show its size. */
const MIN_SEALED_BYTES = 4096

const decompressInPool = promisify<Uint8Array, ZstdOptions, Buffer>(zlib.zstdDecompress)
const inflateInPool = promisify<Uint8Array, object, Buffer>(zlib.inflateRaw)

/** Compresses with zstd, unless that would save less than a 32nd. */
export function compressFrame(raw: Uint8Array): FrameContent {
  return choose(raw, zlib.zstdCompressSync(raw, compressOptions(raw.length)))
}

/** The same on the thread pool: several at a time, each in turn. */
export interface FrameCompressor {
  /** `raw` must stay as it is until then. The payload is memory of its own, or `raw`. */
  compress(raw: Uint8Array): Promise<FrameContent>
  close(): void
}

export function createFrameCompressor(count: number): FrameCompressor {
  let encoders: ZstdEncoder[] = []
  let next = 0
  let taken = 0
  let isBulk = false
  const close = (): void => encoders.forEach((encoder) => encoder.close())
  return {
    async compress(raw) {
      if (!isBulk && taken >= BULK_AFTER_BYTES) {
        // They end when they have done what they were given.
        close()
        encoders = []
        isBulk = true
      }
      taken += raw.length
      const turn = next % count
      next += 1
      const encoder = (encoders[turn] ??= borrowZstdEncoder(isBulk ? bulkEncoder : usualEncoder))
      return choose(raw, await encoder.encode(raw))
    },
    close,
  }
}

/** Content that is known not to compress. */
export function plainFrame(raw: Uint8Array): FrameContent {
  return { codec: PLAIN, rawBytes: raw.length, payload: raw }
}

/** The frame as it is stored: header and content, encrypted for its position when the repository is. */
export function encodeFrame(
  content: FrameContent,
  position: FramePosition,
  keys: RepositoryKeys | null,
): Buffer {
  return Buffer.concat(encodeFrameParts(content, position, keys))
}

/** The same in parts, for a caller that puts them together elsewhere. */
export function encodeFrameParts(
  content: FrameContent,
  position: FramePosition,
  keys: RepositoryKeys | null,
): readonly Uint8Array[] {
  if (keys !== null) return [seal(content, position, keys)]
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  writeHeader(header, content.codec, content.rawBytes, content.payload.length)
  return [header, content.payload]
}

/** The raw content of a stored frame. @throws `CORRUPT` */
export function decodeFrame(
  stored: Uint8Array,
  position: FramePosition,
  keys: RepositoryKeys | null,
): Uint8Array {
  return decompress(openFrame(stored, position, keys), position)
}

function decompress(content: FrameContent, position: FramePosition): Uint8Array {
  if (content.codec === PLAIN) return content.payload
  try {
    const raw =
      content.codec === ZSTD
        ? zlib.zstdDecompressSync(content.payload, decompressOptions(content.rawBytes))
        : zlib.inflateRawSync(content.payload, outputOptions(content.rawBytes))
    return checkLength(raw, content, position)
  } catch (error) {
    throw notDecompressed(error, position)
  }
}

/** Less is decompressed in the time that it takes to ask the thread pool. */
const WORTH_POOL_BYTES = 64 * 1024

/** The same on the thread pool, where that is worth it. */
export async function decodeFrameInPool(
  stored: Uint8Array,
  position: FramePosition,
  keys: RepositoryKeys | null,
): Promise<Uint8Array> {
  const content = openFrame(stored, position, keys)
  if (content.rawBytes < WORTH_POOL_BYTES) return decompress(content, position)
  if (content.codec === PLAIN) return content.payload
  try {
    const raw =
      content.codec === ZSTD
        ? await decompressInPool(content.payload, decompressOptions(content.rawBytes))
        : await inflateInPool(content.payload, outputOptions(content.rawBytes))
    return checkLength(raw, content, position)
  } catch (error) {
    throw notDecompressed(error, position)
  }
}

/** Checks the header and decrypts; what is left to do is to decompress. */
function openFrame(stored: Uint8Array, position: FramePosition, keys: RepositoryKeys | null): FrameContent {
  const reader = readBytes(stored, describe(position))
  const codec = reader.uint8()
  reader.magic(Buffer.alloc(3))
  const rawBytes = reader.uint32()
  const storedBytes = reader.uint32()
  if (storedBytes !== reader.remaining()) reader.fail('its length is not what it says')
  if (storedBytes > MAX_STORED_BYTES) reader.fail(`it says to be ${storedBytes} bytes long`)
  const payload = reader.bytes(storedBytes)
  if ((keys !== null) !== (codec === SEALED)) {
    reader.fail(keys === null ? 'it is encrypted in a repository that is not' : 'it is not encrypted')
  }
  if (keys !== null && rawBytes !== 0) reader.fail('its header is not that of an encrypted frame')
  const content = keys === null ? { codec, rawBytes, payload } : unseal(payload, position, keys)
  if (![PLAIN, ZSTD, DEFLATE].includes(content.codec)) reader.fail(`its codec ${content.codec} is unknown`)
  if (content.rawBytes > MAX_RAW_FRAME_BYTES) reader.fail(`it says to hold ${content.rawBytes} bytes`)
  if (content.codec === PLAIN && content.payload.length !== content.rawBytes) {
    reader.fail('its length is not what it says')
  }
  return content
}

function seal(content: FrameContent, position: FramePosition, keys: RepositoryKeys): Buffer {
  const plainBytes = paddedLength(SEALED_HEADER_BYTES + content.payload.length)
  const plain = Buffer.alloc(plainBytes)
  writeHeader(plain, content.codec, content.rawBytes, content.payload.length)
  plain.set(content.payload, SEALED_HEADER_BYTES)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', keys.frames, nonce)
  cipher.setAAD(sealContext(position))
  const frame = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + NONCE_BYTES + plainBytes + TAG_BYTES)
  writeHeader(frame, SEALED, 0, frame.length - FRAME_HEADER_BYTES)
  nonce.copy(frame, FRAME_HEADER_BYTES)
  cipher.update(plain).copy(frame, FRAME_HEADER_BYTES + NONCE_BYTES)
  cipher.final()
  cipher.getAuthTag().copy(frame, frame.length - TAG_BYTES)
  return frame
}

function unseal(stored: Buffer, position: FramePosition, keys: RepositoryKeys): FrameContent {
  let plain: Buffer
  try {
    const decipher = createDecipheriv('aes-256-gcm', keys.frames, stored.subarray(0, NONCE_BYTES))
    decipher.setAAD(sealContext(position))
    decipher.setAuthTag(stored.subarray(-TAG_BYTES))
    plain = decipher.update(stored.subarray(NONCE_BYTES, -TAG_BYTES))
    decipher.final()
  } catch (error) {
    throw damagedObject(describe(position), 'it does not decrypt', error)
  }
  const reader = readBytes(plain, describe(position))
  const codec = reader.uint8()
  reader.magic(Buffer.alloc(3))
  const rawBytes = reader.uint32()
  return { codec, rawBytes, payload: reader.bytes(reader.uint32()) }
}

/** Lengths in steps that are at most 12 % apart (Padmé; Nikitin et al., "Reducing Metadata Leakage", 2019). */
function paddedLength(bytes: number): number {
  const length = Math.max(bytes, MIN_SEALED_BYTES)
  const exponent = Math.floor(Math.log2(length))
  const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1))
  return Math.ceil(length / step) * step
}

function sealContext(position: FramePosition): Buffer {
  const context = Buffer.alloc(20)
  context.write(position.packId, 0, 16, 'hex')
  context.writeUInt32LE(position.frame, 16)
  return context
}

function writeHeader(target: Buffer, codec: number, rawBytes: number, storedBytes: number): void {
  target.writeUInt32LE(codec, 0)
  target.writeUInt32LE(rawBytes, 4)
  target.writeUInt32LE(storedBytes, 8)
}

function choose(raw: Uint8Array, compressed: Buffer): FrameContent {
  if (compressed.length > raw.length - raw.length / 32) return plainFrame(raw)
  return { codec: ZSTD, rawBytes: raw.length, payload: compressed }
}

function compressOptions(rawBytes: number): ZstdOptions {
  return {
    // Most frames shrink to less than this; asking for the worst case would only cost memory.
    chunkSize: (rawBytes >> 1) + 1024,
    params: compressParams,
    pledgedSrcSize: rawBytes,
  } as ZstdOptions
}

/** One output buffer of the right size: Node's default of 16 KiB pieces makes the thread pool 3 times slower. */
function outputOptions(rawBytes: number): { chunkSize: number; maxOutputLength: number } {
  return { chunkSize: rawBytes + 64, maxOutputLength: Math.max(1, rawBytes) }
}

function decompressOptions(rawBytes: number): ZstdOptions {
  // 8 MiB of window are all that a frame of 8 MiB can need.
  return { ...outputOptions(rawBytes), params: { [zlib.constants.ZSTD_d_windowLogMax]: 23 } }
}

function checkLength(raw: Buffer, content: FrameContent, position: FramePosition): Buffer {
  if (raw.length === content.rawBytes) return raw
  throw damagedObject(describe(position), `it holds ${raw.length} bytes instead of ${content.rawBytes}`)
}

function notDecompressed(error: unknown, position: FramePosition): unknown {
  if (error instanceof Error && 'code' in error && error.code === 'CORRUPT') return error
  return damagedObject(describe(position), 'it does not decompress to what it says', error)
}

function describe(position: FramePosition): string {
  return position.frame === INDEX_FRAME
    ? `index of pack ${position.packId}`
    : `frame ${position.frame} of pack ${position.packId}`
}
