import { Buffer } from 'node:buffer'
import { createHash, randomBytes } from 'node:crypto'
import type { ContentId } from './content-id.ts'
import { copyBytes } from '../copy-bytes.ts'
import { releaseBuffer } from '../../store/release-buffer.ts'
import { compressFrame, encodeFrameParts, INDEX_FRAME, type FrameContent } from './frame.ts'
import { encodePackIndex, type PackChunk, type PackFrame } from './pack-index.ts'
import type { RepositoryKeys } from './repository-keys.ts'
import type { PackReference } from './version-record.ts'

export const PACK_MAGIC = Buffer.from('WSPACK1\n', 'latin1')
export const PACK_END_MAGIC = Buffer.from('WSPKEND1', 'latin1')
/** Offset of the index, length of its frame, checksum, magic. */
export const PACK_TRAILER_BYTES = 52
const INITIAL_BYTES = 64 * 1024
/** From here on memory for a full pack is taken at once: pages that are not written to cost nothing. */
const SMALL_BYTES = 1024 * 1024
/**
 * Holds any full pack. Above 32 MiB, glibc gives memory back to the system when it is freed; freeing less makes it keep
 * tens of megabytes in each thread's arena from then on.
 */
export const FULL_PACK_BYTES = 33 * 1024 * 1024

/** Puts a pack together in memory that grows, or that another pack is done with. */
export interface PackWriter {
  readonly packId: string
  /** Bytes so far, without the index. */
  readonly bytes: () => number
  readonly chunkCount: () => number
  /** @param chunks where they are in the raw frame, in order */
  addFrame(kind: 'data' | 'tree', content: FrameContent, chunks: readonly FrameChunk[]): void
  /** The whole object, at the beginning of its memory, and what a version record says about it. */
  finish(): FinishedPack
}

/** Where the writer takes memory from that it does not make itself. */
export interface PackMemory {
  /** To be used again; belongs to the pack from now on. */
  readonly spare?: ArrayBufferLike | null
  /** Called once, when the pack is no small one: {@link FULL_PACK_BYTES}, or `null`. */
  readonly takeFull?: () => ArrayBufferLike | null
}

export interface FinishedPack {
  readonly bytes: Uint8Array
  readonly reference: PackReference
  readonly chunks: readonly PackChunk[]
}

export interface FrameChunk {
  readonly id: ContentId
  readonly offset: number
  readonly length: number
}

export function createPackWriter(
  keys: RepositoryKeys | null,
  { spare, takeFull }: PackMemory = {},
): PackWriter {
  const packId = randomBytes(16).toString('hex')
  const frames: PackFrame[] = []
  const chunks: PackChunk[] = []
  let memory: ArrayBufferLike = spare ?? new ArrayBuffer(INITIAL_BYTES)
  let length = 0
  const append = (part: Uint8Array): void => {
    const wanted = length + part.length
    if (wanted > memory.byteLength) {
      const bytes = grownBytes(memory.byteLength, wanted)
      const full = bytes === FULL_PACK_BYTES ? takeFull?.() : null
      const larger = full ?? Buffer.allocUnsafeSlow(bytes).buffer
      const smaller = new Uint8Array(memory, 0, length)
      copyBytes(smaller, new Uint8Array(larger), 0)
      releaseBuffer(smaller)
      memory = larger
    }
    copyBytes(part, new Uint8Array(memory), length)
    length = wanted
  }
  const appendFrame = (number: number, content: FrameContent): { offset: number; storedBytes: number } => {
    const offset = length
    for (const part of encodeFrameParts(content, { packId, frame: number }, keys)) append(part)
    return { offset, storedBytes: length - offset }
  }
  append(PACK_MAGIC)
  return {
    packId,
    bytes: () => length,
    chunkCount: () => chunks.length,
    addFrame(kind, content, frameChunks) {
      const number = frames.length
      frames.push({ ...appendFrame(number, content), rawBytes: content.rawBytes, kind })
      for (const { id, offset, length: chunkLength } of frameChunks) {
        chunks.push({ id, frame: number, offset, length: chunkLength })
      }
    },
    finish() {
      const index = appendFrame(INDEX_FRAME, compressFrame(encodePackIndex(frames, chunks)))
      const frame = new Uint8Array(memory, index.offset, index.storedBytes)
      const trailer = Buffer.alloc(PACK_TRAILER_BYTES)
      trailer.writeBigUInt64LE(BigInt(index.offset), 0)
      trailer.writeUInt32LE(index.storedBytes, 8)
      trailer.write(indexChecksum(packId, frame), 12, 32, 'hex')
      PACK_END_MAGIC.copy(trailer, 44)
      append(trailer)
      const bytes = new Uint8Array(memory, 0, length)
      const indexBytes = index.storedBytes + PACK_TRAILER_BYTES
      return { bytes, reference: { id: packId, bytes: bytes.length, indexBytes }, chunks }
    },
  }
}

/** With the pack's id, so that another pack in its place is noticed even when all lengths are the same. */
export function indexChecksum(packId: string, indexFrame: Uint8Array): string {
  return createHash('sha256').update(packId, 'hex').update(indexFrame).digest('hex')
}

function grownBytes(now: number, wanted: number): number {
  if (wanted > FULL_PACK_BYTES) return wanted + SMALL_BYTES
  return wanted > SMALL_BYTES ? FULL_PACK_BYTES : Math.max(wanted, now * 2)
}
