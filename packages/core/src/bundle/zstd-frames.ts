import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../errors.ts'
import { corrupt } from './archive-error.ts'

/** The memory that a decoder needs for it: what `zstd -d` allows as well. */
const MAX_WINDOW_BYTES = 128 * 1024 * 1024
const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50

export interface FramePiece {
  readonly bytes: Buffer
  readonly isEnd: boolean
}

/**
 * Finds where the frames of a zstd stream begin and end by its block headers (RFC 8878), without decompressing.
 * @throws `CORRUPT` for a stream that is cut off, or has anything but frames after a frame.
 */
export async function* splitZstdFrames(
  input: AsyncIterator<Uint8Array>,
): AsyncGenerator<FramePiece, void, void> {
  const reader = byteReader(input)
  let isFirst = true
  for (;;) {
    const magicBytes = await reader.take(4, isFirst ? 'all' : 'maybe-none')
    if (magicBytes === null) return
    isFirst = false
    const magic = magicBytes.readUInt32LE(0)
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      const size = (await reader.need(4)).readUInt32LE(0)
      for await (const piece of reader.pieces(size)) void piece
      continue
    }
    if (magic !== FRAME_MAGIC) throw corrupt('something that is not zstd follows its frames')
    yield* frame(reader, magicBytes)
  }
}

async function* frame(reader: ByteReader, magic: Buffer): AsyncGenerator<FramePiece, void, void> {
  const descriptor = await reader.need(1)
  const flags = descriptor[0] ?? 0
  const isSingleSegment = (flags & 0x20) !== 0
  if ((flags & 0x08) !== 0) throw corrupt('a zstd frame header is malformed')
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0
  const rest = await reader.need((isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes)
  const contentBytes = readContentBytes(rest, rest.length - sizeBytes, sizeBytes)
  const windowBytes = isSingleSegment ? (contentBytes ?? 0) : readWindowBytes(rest[0] ?? 0)
  if (windowBytes > MAX_WINDOW_BYTES) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The archive needs ${windowBytes} bytes of memory to decompress; at most ${MAX_WINDOW_BYTES} are allowed. Compress it again without --long=28 or more.`,
    )
  }
  yield { bytes: Buffer.concat([magic, descriptor, rest]), isEnd: false }
  for (let isLast = false; !isLast;) {
    const header = await reader.need(3)
    const value = header.readUIntLE(0, 3)
    isLast = (value & 1) === 1
    const type = (value >> 1) & 3
    if (type === 3) throw corrupt('a zstd block is malformed')
    yield { bytes: header, isEnd: false }
    for await (const bytes of reader.pieces(type === 1 ? 1 : value >> 3)) {
      yield { bytes, isEnd: false }
    }
  }
  const checksum = (flags & 0x04) === 0 ? Buffer.alloc(0) : await reader.need(4)
  yield { bytes: checksum, isEnd: true }
}

function readContentBytes(field: Buffer, offset: number, length: number): number | null {
  if (length === 0) return null
  if (length === 2) return field.readUInt16LE(offset) + 256
  if (length === 8) return Number(field.readBigUInt64LE(offset))
  return field.readUIntLE(offset, length)
}

function readWindowBytes(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3))
  return base + (base / 8) * (descriptor & 7)
}

interface ByteReader {
  need(length: number): Promise<Buffer>
  /** `maybe-none`: the stream may end here, which is `null`. */
  take(length: number, end: 'all' | 'maybe-none'): Promise<Buffer | null>
  pieces(length: number): AsyncGenerator<Buffer, void, void>
}

function byteReader(input: AsyncIterator<Uint8Array>): ByteReader {
  let chunk: Buffer = Buffer.alloc(0)
  async function fill(): Promise<boolean> {
    while (chunk.length === 0) {
      const next = await input.next()
      if (next.done === true) return false
      chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength)
    }
    return true
  }
  function cut(length: number): Buffer {
    const bytes = chunk.subarray(0, length)
    chunk = chunk.subarray(bytes.length)
    return bytes
  }
  async function take(length: number, end: 'all' | 'maybe-none'): Promise<Buffer | null> {
    if (chunk.length >= length) return cut(length)
    const parts: Buffer[] = []
    for (let missing = length; missing > 0;) {
      if (!(await fill())) {
        if (missing === length && end === 'maybe-none') return null
        throw corrupt('it is cut off')
      }
      const part = cut(missing)
      parts.push(part)
      missing -= part.length
    }
    return Buffer.concat(parts)
  }
  return {
    take,
    async need(length) {
      return (await take(length, 'all')) ?? Buffer.alloc(0)
    },
    async *pieces(length) {
      for (let missing = length; missing > 0;) {
        if (!(await fill())) throw corrupt('it is cut off')
        const part = cut(missing)
        missing -= part.length
        yield part
      }
    },
  }
}
