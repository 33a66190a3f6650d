import type { ObjectStore } from '../../store/object-store.ts'
import type { PackChunk, PackIndex } from './pack-index.ts'
import type { RepositoryKeys } from './repository-keys.ts'
import type { PackReference } from './version-record.ts'

/** Where packs are read from; a `Repository` is one. */
export interface PackSource {
  readonly store: ObjectStore
  readonly keys: RepositoryKeys | null
  packKey(packId: string): string
}

/**
 * The index of a pack, by one ranged read.
 * @throws `CORRUPT` when it is damaged, or the pack is not there (details: `object`, the key)
 */
export declare function readPackIndex(
  source: PackSource,
  pack: PackReference,
  signal?: AbortSignal,
): Promise<PackIndex>

/**
 * Frames of a pack as they are stored, for `decodeFrame`: in the order of their numbers, neighbours (gaps of less than
 * 256 KiB read over) by one ranged read each. Memory: one frame at a time.
 * @param frames their numbers, ascending
 */
export declare function readStoredFrames(
  source: PackSource,
  index: PackIndex,
  frames: readonly number[],
  signal?: AbortSignal,
): AsyncGenerator<{ readonly frame: number; readonly stored: Uint8Array }, void, void>

/** The bytes of a chunk in its decoded frame, checked against its id. @throws `CORRUPT` */
export declare function cutChunk(
  packId: string,
  frame: Uint8Array,
  chunk: PackChunk,
  keys: RepositoryKeys | null,
): Uint8Array
