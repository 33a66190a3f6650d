import { Buffer } from 'node:buffer'
import { hash, randomBytes } from 'node:crypto'
import type { ContentId } from './content-id.ts'
import { encodeFrame, compressFrame, INDEX_FRAME, type FrameContent } from './frame.ts'
import { encodePackIndex, type PackChunk, type PackFrame } from './pack-index.ts'
import type { RepositoryKeys } from './repository-keys.ts'
import type { PackReference } from './version-record.ts'

export const PACK_MAGIC = Buffer.from('WSPACK1\n', 'latin1')
export const PACK_END_MAGIC = Buffer.from('WSPKEND1', 'latin1')
/** Offset of the index, length of its frame, SHA-256 of its frame, magic. */
export const PACK_TRAILER_BYTES = 52

/** Puts a pack together; every call returns the bytes that come next in the object. */
export interface PackWriter {
  readonly packId: string
  /** Bytes so far, without the index. */
  readonly bytes: () => number
  readonly chunkCount: () => number
  /** @param chunks where they are in the raw frame, in order */
  addFrame(kind: 'data' | 'tree', content: FrameContent, chunks: readonly FrameChunk[]): Buffer
  /** The index and the trailer, and what a version record says about the pack. */
  finish(): { readonly end: Buffer; readonly reference: PackReference; readonly chunks: readonly PackChunk[] }
}

export interface FrameChunk {
  readonly id: ContentId
  readonly offset: number
  readonly length: number
}

export function createPackWriter(keys: RepositoryKeys | null): PackWriter {
  const packId = randomBytes(16).toString('hex')
  const frames: PackFrame[] = []
  const chunks: PackChunk[] = []
  let bytes = 0
  const begin = (next: Buffer): Buffer => (bytes === 0 ? Buffer.concat([PACK_MAGIC, next]) : next)
  return {
    packId,
    bytes: () => bytes,
    chunkCount: () => chunks.length,
    addFrame(kind, content, frameChunks) {
      const number = frames.length
      const frame = encodeFrame(content, { packId, frame: number }, keys)
      const out = begin(frame)
      const offset = bytes + out.length - frame.length
      frames.push({ offset, storedBytes: frame.length, rawBytes: content.rawBytes, kind })
      for (const { id, offset: start, length } of frameChunks) {
        chunks.push({ id, frame: number, offset: start, length })
      }
      bytes += out.length
      return out
    },
    finish() {
      const raw = encodePackIndex(frames, chunks)
      const index = encodeFrame(compressFrame(raw), { packId, frame: INDEX_FRAME }, keys)
      const out = begin(index)
      const trailer = Buffer.alloc(PACK_TRAILER_BYTES)
      trailer.writeBigUInt64LE(BigInt(bytes + out.length - index.length), 0)
      trailer.writeUInt32LE(index.length, 8)
      trailer.write(hash('sha256', index, 'hex'), 12, 32, 'hex')
      PACK_END_MAGIC.copy(trailer, 44)
      const end = Buffer.concat([out, trailer])
      const indexBytes = index.length + PACK_TRAILER_BYTES
      return { end, reference: { id: packId, bytes: bytes + end.length, indexBytes }, chunks }
    },
  }
}
