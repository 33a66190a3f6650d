import { Buffer } from 'node:buffer'

/**
 * What one group of the cache file holds, field by field: reading numbers one after the other, and making a text of each
 * name and id, takes several times as long as reading each field of all entries at once.
 */
export interface KnownTreeColumns {
  /** `STATS_PER_ENTRY` for each entry; see `KnownDirectory.stats`. */
  readonly stats: BigInt64Array
  /** For each directory: entries and bytes below. */
  readonly sizesBelow: Float64Array
  /** For each directory: the length of its path, how many entries it has. */
  readonly directories: Uint32Array
  /** For each entry: seconds of its time; a file's size or a directory's entries below; bytes below, 0 for others. */
  readonly numbers: Float64Array
  /** For each entry: nanoseconds of its time; how many runs a file has, or the length of a link's target. */
  readonly counts: Uint32Array
  /** For each entry: its mode, the length of its name. */
  readonly shapes: Uint16Array
  /** For each entry. */
  readonly types: Uint8Array
  readonly runLengths: Float64Array
  /** For each run: 1 for zeros, 0 for a chunk. */
  readonly zeroRuns: Uint8Array
  /** Places of entries that are hard links, and the groups of these. */
  readonly linked: Uint32Array
  readonly linkGroups: BigUint64Array
  /** For each pack: its bytes, those of its index, how many chunks it has. */
  readonly packs: Float64Array
  /** For each directory that is gone: the length of its path. */
  readonly gone: Uint32Array
  /** 16 bytes each. */
  readonly packIds: Uint8Array
  /**
   * 32 bytes each: for each directory its node, then those of its entries in turn (a directory's node, chunks of a file);
   * then the chunks of each pack; last the root's node, unless the tree is empty. An id is as often here as it is used:
   * finding those that were there takes longer than to write them again.
   */
  readonly ids: Uint8Array
  /** Those that are gone, then those of the directories. One byte for each character, as in the next two. */
  readonly paths: Uint8Array
  readonly names: Uint8Array
  readonly targets: Uint8Array
}

export const FILE = 1
export const DIRECTORY = 2
export const SYMLINK = 3

export const NODE_ID_BYTES = 32
export const PACK_ID_BYTES = 16

type Column = KnownTreeColumns[keyof KnownTreeColumns]

/** Their elements, in the order in which they are written. */
const ELEMENTS = {
  stats: BigInt64Array,
  sizesBelow: Float64Array,
  directories: Uint32Array,
  numbers: Float64Array,
  counts: Uint32Array,
  shapes: Uint16Array,
  types: Uint8Array,
  runLengths: Float64Array,
  zeroRuns: Uint8Array,
  linked: Uint32Array,
  linkGroups: BigUint64Array,
  packs: Float64Array,
  gone: Uint32Array,
  packIds: Uint8Array,
  ids: Uint8Array,
  paths: Uint8Array,
  names: Uint8Array,
  targets: Uint8Array,
} as const
const NAMES = Object.keys(ELEMENTS) as (keyof KnownTreeColumns)[]

const ALIGNMENT = 8

/** The length of each column, then the columns, each from a multiple of eight bytes on. */
export function writeColumns(columns: KnownTreeColumns): readonly Buffer[] {
  const lengths = Float64Array.from(NAMES, (name) => columns[name].byteLength)
  const parts = [bytesOf(lengths)]
  for (const name of NAMES) {
    const part = bytesOf(columns[name])
    parts.push(part)
    const rest = part.length % ALIGNMENT
    if (rest > 0) parts.push(Buffer.alloc(ALIGNMENT - rest))
  }
  return parts
}

/** Views, not copies. @throws for bytes that `writeColumns` has not made */
export function readColumns(bytes: Buffer<ArrayBuffer>): KnownTreeColumns {
  const { buffer, byteOffset } = bytes
  const lengths = new Float64Array(buffer, byteOffset, NAMES.length)
  const columns: Partial<Record<keyof KnownTreeColumns, Column>> = {}
  let position = lengths.byteLength
  for (const [index, name] of NAMES.entries()) {
    const length = lengths[index] ?? 0
    if (!(length >= 0 && length <= bytes.length - position)) throw new Error(`the column ${name} is cut off`)
    const Elements = ELEMENTS[name]
    columns[name] = new Elements(buffer, byteOffset + position, length / Elements.BYTES_PER_ELEMENT)
    position += Math.ceil(length / ALIGNMENT) * ALIGNMENT
  }
  return columns as unknown as KnownTreeColumns
}

function bytesOf({ buffer, byteOffset, byteLength }: Column): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
