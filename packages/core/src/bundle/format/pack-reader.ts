import { Buffer } from 'node:buffer'
import type { ObjectStore } from '../../store/object-store.ts'
import { readBytes } from './byte-reader.ts'
import { contentIdOf } from './content-id.ts'
import { damagedObject } from './damaged-object.ts'
import { decodeFrame, FRAME_HEADER_BYTES, INDEX_FRAME, MAX_RAW_FRAME_BYTES } from './frame.ts'
import { decodePackIndex, type PackChunk, type PackIndex } from './pack-index.ts'
import { indexChecksum, PACK_END_MAGIC, PACK_MAGIC, PACK_TRAILER_BYTES } from './pack-writer.ts'
import { readObjectRange } from './read-object-range.ts'
import type { RepositoryKeys } from './repository-keys.ts'
import type { PackReference } from './version-record.ts'

/** Where packs are read from; a `Repository` is one. */
export interface PackSource {
  readonly store: ObjectStore
  readonly keys: RepositoryKeys | null
  packKey(packId: string): string
}

/** Reading over a gap of this size costs less than another request. */
const MAX_GAP_BYTES = 256 * 1024
const MAX_INDEX_BYTES = MAX_RAW_FRAME_BYTES + 2 * 1024 * 1024

/**
 * The index of a pack, by one ranged read.
 * @throws `CORRUPT` when it is damaged, or the pack is not there or has another size than the record says
 */
export async function readPackIndex(
  source: PackSource,
  pack: PackReference,
  signal?: AbortSignal,
): Promise<PackIndex> {
  const name = `index of pack ${pack.id}`
  const start = pack.bytes - pack.indexBytes
  const smallest = PACK_TRAILER_BYTES + FRAME_HEADER_BYTES
  if (start < PACK_MAGIC.length || pack.indexBytes < smallest || pack.indexBytes > MAX_INDEX_BYTES) {
    throw damagedObject(name, 'the version record gives it an impossible place')
  }
  const key = source.packKey(pack.id)
  const bytes = Buffer.alloc(pack.indexBytes)
  const range = { start, end: pack.bytes, isWhole: true }
  let filled = 0
  for await (const part of readObjectRange(source.store, key, range, signal)) {
    bytes.set(part, filled)
    filled += part.length
  }
  const frame = bytes.subarray(0, -PACK_TRAILER_BYTES)
  const trailer = readBytes(bytes.subarray(-PACK_TRAILER_BYTES), name)
  if (trailer.uint64() !== start || trailer.uint32() !== frame.length) {
    trailer.fail('its trailer does not point at it')
  }
  if (trailer.hex(32) !== indexChecksum(pack.id, frame)) trailer.fail('its checksum does not match')
  trailer.magic(PACK_END_MAGIC)
  const raw = decodeFrame(frame, { packId: pack.id, frame: INDEX_FRAME }, source.keys)
  return decodePackIndex(raw, pack.id, PACK_MAGIC.length, start)
}

/**
 * Frames of a pack as they are stored, for `decodeFrame`: in the order of their numbers, neighbours (gaps of less than
 * 256 KiB read over) by one ranged read each. Memory: one frame at a time. The beginning of the pack is checked with the
 * first frame.
 * @param frames their numbers, ascending
 * @throws `CORRUPT` when the pack is not there, is too short or does not begin as a pack
 */
export async function* readStoredFrames(
  source: PackSource,
  index: PackIndex,
  frames: readonly number[],
  signal?: AbortSignal,
): AsyncGenerator<{ readonly frame: number; readonly stored: Uint8Array }, void, void> {
  let next = 0
  while (next < frames.length) {
    const first = placeOf(index, frames[next])
    const group = [{ frame: frames[next] ?? 0, ...first }]
    let end = first.offset + first.storedBytes
    for (next += 1; next < frames.length; next += 1) {
      const place = placeOf(index, frames[next])
      if (place.offset < end || place.offset - end > MAX_GAP_BYTES) break
      group.push({ frame: frames[next] ?? 0, ...place })
      end = place.offset + place.storedBytes
    }
    yield* readGroup(source, index.packId, group, end, signal)
  }
}

/** The bytes of a chunk in its decoded frame, checked against its id. @throws `CORRUPT` */
export function cutChunk(
  packId: string,
  frame: Uint8Array,
  chunk: PackChunk,
  keys: RepositoryKeys | null,
): Uint8Array {
  const content = frame.subarray(chunk.offset, chunk.offset + chunk.length)
  if (content.length !== chunk.length || contentIdOf(content, keys) !== chunk.id) {
    throw damagedObject(`frame ${chunk.frame} of pack ${packId}`, `chunk ${chunk.id} is not what its id says`)
  }
  return content
}

function placeOf(index: PackIndex, frame: number | undefined): { offset: number; storedBytes: number } {
  const place = frame === undefined ? undefined : index.frames[frame]
  if (place === undefined) throw new RangeError(`no frame ${frame} in the pack`)
  return place
}

async function* readGroup(
  source: PackSource,
  packId: string,
  group: readonly { frame: number; offset: number; storedBytes: number }[],
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly frame: number; readonly stored: Uint8Array }, void, void> {
  const first = group[0]?.offset ?? 0
  const start = first === PACK_MAGIC.length ? 0 : first
  let position = start
  let taken = 0
  let current: Buffer | undefined
  for await (const part of readObjectRange(source.store, source.packKey(packId), { start, end }, signal)) {
    let rest = part
    if (position < PACK_MAGIC.length) {
      const magic = PACK_MAGIC.subarray(position, position + rest.length)
      if (!magic.equals(rest.subarray(0, magic.length)))
        throw damagedObject(`pack ${packId}`, 'it does not begin as a pack')
      rest = rest.subarray(magic.length)
      position += magic.length
    }
    while (rest.length > 0) {
      const place = group[taken]
      if (place === undefined) break
      if (position < place.offset) {
        const skipped = Math.min(rest.length, place.offset - position)
        rest = rest.subarray(skipped)
        position += skipped
        continue
      }
      current ??= Buffer.allocUnsafeSlow(place.storedBytes)
      const filled = position - place.offset
      const wanted = Math.min(rest.length, place.storedBytes - filled)
      current.set(rest.subarray(0, wanted), filled)
      rest = rest.subarray(wanted)
      position += wanted
      if (filled + wanted === place.storedBytes) {
        const stored = current
        current = undefined
        taken += 1
        yield { frame: place.frame, stored }
      }
    }
  }
}
