/** What a pack says of an object before its compressed bytes (gitformat-pack). */
export interface PackEntryHead {
  /** Commit, tree, blob, tag: 1 to 4; deltas: 6 and 7. */
  readonly kind: number
  /** Of what is compressed: of a delta that is the delta's own. */
  readonly size: number
  /** Of a delta: how far back in the pack its base is, or the id of it. */
  readonly base: number | string | null
  /** Where the compressed bytes begin. */
  readonly next: number
}

const OFFSET_DELTA = 6
const ID_DELTA = 7

/** The kind in three bits, and the size; then, of a delta, where its base is. */
export function readPackEntryHead(entry: Buffer, idBytes: number): PackEntryHead {
  const kind = ((entry[0] ?? 0) >> 4) & 7
  const { value: size, next } = readPackNumber(entry, 0, 4)
  if (kind === ID_DELTA) {
    return { kind, size, base: entry.toString('hex', next, next + idBytes), next: next + idBytes }
  }
  if (kind !== OFFSET_DELTA) return { kind, size, base: null, next }
  let at = next
  let byte = entry[at++] ?? 0
  let back = byte & 127
  while ((byte & 128) !== 0) {
    byte = entry[at++] ?? 0
    back = (back + 1) * 128 + (byte & 127)
  }
  return { kind, size, base: back, next: at }
}

/** Seven bits a byte, the least ones first; fewer in the first byte where that holds something else too. */
export function readPackNumber(
  bytes: Buffer,
  start: number,
  firstBits: number,
): { readonly value: number; readonly next: number } {
  let at = start
  let byte = bytes[at++] ?? 0
  let value = byte & (2 ** firstBits - 1)
  for (let unit = 2 ** firstBits; (byte & 128) !== 0; unit *= 128) {
    byte = bytes[at++] ?? 0
    value += (byte & 127) * unit
  }
  return { value, next: at }
}
