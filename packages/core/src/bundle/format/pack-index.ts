import { Buffer } from 'node:buffer'
import { randomInt } from 'node:crypto'
import { readBytes } from './byte-reader.ts'
import type { ContentId } from './content-id.ts'
import { MAX_RAW_FRAME_BYTES } from './frame.ts'

/** What a pack holds and where. Kept as the bytes of the index: about 60 bytes of memory for each chunk. */
export interface PackIndex {
  readonly packId: string
  readonly frames: readonly PackFrame[]
  readonly chunkCount: number
  /** In order of frame and offset. */
  chunkAt(position: number): PackChunk
  /** The bytes 0 to 3 of the id of a chunk, or 12 to 15, as a number of 32 bits. */
  wordAt(position: number, start: 0 | 12): number
  find(id: ContentId): PackChunk | null
}

export interface PackFrame {
  /** From the object's beginning. */
  readonly offset: number
  /** With its header. */
  readonly storedBytes: number
  readonly rawBytes: number
  readonly kind: 'data' | 'tree'
}

export interface PackChunk {
  readonly id: ContentId
  /** Number of the frame. */
  readonly frame: number
  /** In the raw frame. */
  readonly offset: number
  readonly length: number
}

const FRAME_ROW_BYTES = 17
const CHUNK_ROW_BYTES = 44
const ID_BYTES = 32

/** The index of a pack is one frame, so it may be as long as one. A writer closes a pack before. */
export const MAX_PACK_CHUNKS = 150_000

export function encodePackIndex(frames: readonly PackFrame[], chunks: readonly PackChunk[]): Buffer {
  const raw = Buffer.allocUnsafe(8 + frames.length * FRAME_ROW_BYTES + chunks.length * CHUNK_ROW_BYTES)
  let position = raw.writeUInt32LE(frames.length, 0)
  for (const frame of frames) {
    position = raw.writeBigUInt64LE(BigInt(frame.offset), position)
    position = raw.writeUInt32LE(frame.storedBytes, position)
    position = raw.writeUInt32LE(frame.rawBytes, position)
    position = raw.writeUInt8(frame.kind === 'data' ? 0 : 1, position)
  }
  position = raw.writeUInt32LE(chunks.length, position)
  for (const chunk of chunks) {
    position += raw.write(chunk.id, position, ID_BYTES, 'hex')
    position = raw.writeUInt32LE(chunk.frame, position)
    position = raw.writeUInt32LE(chunk.offset, position)
    position = raw.writeUInt32LE(chunk.length, position)
  }
  return raw
}

/**
 * @param framesStart where the first frame must begin
 * @param framesEnd where the last one must end
 * @throws `CORRUPT`
 */
export function decodePackIndex(
  raw: Uint8Array,
  packId: string,
  framesStart: number,
  framesEnd: number,
): PackIndex {
  const reader = readBytes(raw, `index of pack ${packId}`)
  const frameCount = reader.uint32()
  if (frameCount * FRAME_ROW_BYTES > reader.remaining()) reader.fail(`it says to have ${frameCount} frames`)
  const frames: PackFrame[] = []
  let end = framesStart
  for (let number = 0; number < frameCount; number += 1) {
    const offset = reader.uint64()
    const storedBytes = reader.uint32()
    const rawBytes = reader.uint32()
    const kind = reader.uint8()
    if (offset !== end) reader.fail(`frame ${number} does not begin where the one before it ends`)
    if (rawBytes > MAX_RAW_FRAME_BYTES) reader.fail(`frame ${number} says to hold ${rawBytes} bytes`)
    if (kind > 1) reader.fail(`frame ${number} is of the unknown kind ${kind}`)
    frames.push({ offset, storedBytes, rawBytes, kind: kind === 0 ? 'data' : 'tree' })
    end = offset + storedBytes
  }
  if (end !== framesEnd) reader.fail('its frames do not fill the pack')
  const chunkCount = reader.uint32()
  const rows = reader.bytes(chunkCount * CHUNK_ROW_BYTES)
  reader.end()
  checkChunks(rows, chunkCount, frames, (reason) => reader.fail(reason))
  return openIndex(packId, frames, Buffer.from(rows), chunkCount)
}

function checkChunks(
  rows: Buffer,
  chunkCount: number,
  frames: readonly PackFrame[],
  fail: (reason: string) => never,
): void {
  let frame = 0
  let end = 0
  for (let position = 0; position < chunkCount; position += 1) {
    const row = position * CHUNK_ROW_BYTES + ID_BYTES
    const chunkFrame = rows.readUInt32LE(row)
    const offset = rows.readUInt32LE(row + 4)
    const length = rows.readUInt32LE(row + 8)
    if (chunkFrame < frame) fail(`chunk ${position} is not in the order of frames`)
    if (chunkFrame > frame) end = 0
    frame = chunkFrame
    if (offset < end) fail(`chunk ${position} overlaps the one before it`)
    end = offset + length
    const holder = frames[frame]
    if (holder === undefined || end > holder.rawBytes) fail(`chunk ${position} lies outside of its frame`)
  }
}

function openIndex(
  packId: string,
  frames: readonly PackFrame[],
  rows: Buffer,
  chunkCount: number,
): PackIndex {
  let slots: Uint32Array | undefined
  const chunkAt = (position: number): PackChunk => {
    if (!(position >= 0 && position < chunkCount)) throw new RangeError(`no chunk ${position} in the pack`)
    const row = position * CHUNK_ROW_BYTES
    return {
      id: rows.toString('hex', row, row + ID_BYTES),
      frame: rows.readUInt32LE(row + ID_BYTES),
      offset: rows.readUInt32LE(row + ID_BYTES + 4),
      length: rows.readUInt32LE(row + ID_BYTES + 8),
    }
  }
  return {
    packId,
    frames,
    chunkCount,
    chunkAt,
    wordAt: (position, start) => rows.readInt32BE(position * CHUNK_ROW_BYTES + start),
    find(id) {
      slots ??= fillSlots(rows, chunkCount)
      const wanted = Buffer.from(id, 'hex')
      const mask = slots.length - 1
      for (let slot = slotOf(wanted, 0) & mask; ; slot = (slot + 1) & mask) {
        const position = (slots[slot] ?? 0) - 1
        if (position < 0) return null
        const row = position * CHUNK_ROW_BYTES
        if (wanted.compare(rows, row, row + ID_BYTES) === 0) return chunkAt(position)
      }
    },
  }
}

/** An open-addressed table of positions + 1. */
function fillSlots(rows: Buffer, chunkCount: number): Uint32Array {
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(chunkCount * 2 + 2)))
  const mask = slots.length - 1
  for (let position = 0; position < chunkCount; position += 1) {
    let slot = slotOf(rows, position * CHUNK_ROW_BYTES) & mask
    while (slots[slot] !== 0) slot = (slot + 1) & mask
    slots[slot] = position + 1
  }
  return slots
}

/** Random for each process: the ids of a hostile pack are not checked yet, and must not be able to pile up in one slot. */
const factors = [randomInt(2 ** 31) * 2 + 1, randomInt(2 ** 31) * 2 + 1] as const

function slotOf(bytes: Buffer, offset: number): number {
  const mixed =
    Math.imul(bytes.readInt32LE(offset) ^ factors[1], factors[0]) ^
    Math.imul(bytes.readInt32LE(offset + 12) + factors[0], factors[1])
  return Math.imul(mixed ^ (mixed >>> 15), factors[0]) >>> 0
}
