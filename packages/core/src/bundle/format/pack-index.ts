import type { ContentId } from './content-id.ts'

/** What a pack holds and where. Kept as the bytes of the index: about 50 bytes of memory for each chunk. */
export interface PackIndex {
  readonly packId: string
  readonly frames: readonly PackFrame[]
  readonly chunkCount: number
  /** In order of frame and offset. */
  chunkAt(position: number): PackChunk
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

export declare function encodePackIndex(
  frames: readonly PackFrame[],
  chunks: readonly PackChunk[],
): Uint8Array
/** @throws `CORRUPT` */
export declare function decodePackIndex(raw: Uint8Array, packId: string): PackIndex
