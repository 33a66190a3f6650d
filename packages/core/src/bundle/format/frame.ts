import type { RepositoryKeys } from './repository-keys.ts'

export interface FramePosition {
  readonly packId: string
  /** `INDEX_FRAME` for the index. */
  readonly frame: number
}

export const INDEX_FRAME = 0xffff_ffff
/** More is refused before anything is allocated. */
export const MAX_RAW_FRAME_BYTES = 8 * 1024 * 1024

/** The raw content of a stored frame. @throws `CORRUPT` */
export declare function decodeFrame(
  stored: Uint8Array,
  position: FramePosition,
  keys: RepositoryKeys | null,
): Uint8Array
/** The same on the thread pool. */
export declare function decodeFrameInPool(
  stored: Uint8Array,
  position: FramePosition,
  keys: RepositoryKeys | null,
): Promise<Uint8Array>
