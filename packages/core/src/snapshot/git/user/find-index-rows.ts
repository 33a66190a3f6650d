import type { BytePath } from '../../byte-path.ts'
import {
  EXTENDED,
  GITLINK,
  sharedNumbersOf,
  STAGE_MASK,
  STAT_BYTES,
  type IndexRows,
} from '../table/index-rows.ts'
import { textOfPaths } from '../table/shared-columns.ts'

interface FoundRows extends Pick<IndexRows, 'starts' | 'text' | 'ends'> {
  /** In the order in which they are in the file. */
  readonly paths: readonly BytePath[]
  /** The rows that are other repositories. */
  readonly gitlinks: readonly number[]
  /** Where what follows the entries begins. */
  readonly next: number
}

const DIRECTORY = 0o040000
const HEADER_BYTES = 12
/** Names that begin as the one before take less in the file than here. */
const MAX_TEXT_BYTES = 1 << 30

/**
 * The entries of an index (gitformat-index) of version 2 to 4. Of those that name versions of a merge the first counts.
 * @returns `null` when it needs git to be read
 */
export function findIndexRows(
  bytes: Buffer,
  { end, idBytes, version }: { readonly end: number; readonly idBytes: number; readonly version: number },
): FoundRows | null {
  const count = bytes.readUInt32BE(8)
  const fixedBytes = STAT_BYTES + idBytes + 2
  if (count * fixedBytes > end) return null
  const starts = new Uint32Array(count)
  const ends = sharedNumbersOf(count)
  const gitlinks: number[] = []
  const names = new NameText(end - count * fixedBytes)
  let rows = 0
  let position = HEADER_BYTES
  for (let left = count; left > 0; left -= 1) {
    const start = position
    if (start + fixedBytes > end) return null
    const flags = bytes.readUInt16BE(start + fixedBytes - 2)
    position += (flags & EXTENDED) === 0 ? fixedBytes : fixedBytes + 2
    const stripped = version === 4 ? readOffset(bytes, position) : null
    const nameAt = stripped?.next ?? position
    const kept = stripped === null ? 0 : names.to - names.from - stripped.value
    const nameEnd = endOfName(bytes, nameAt)
    const mode = bytes.readUInt32BE(start + 24)
    // What has no name is in no index of git's.
    const isOdd = nameEnd >= end || kept < 0 || kept + nameEnd === nameAt || mode === DIRECTORY
    if (isOdd || !names.add(kept, bytes, nameAt, nameEnd)) return null
    position = stripped === null ? start + ((nameEnd - start + 8) & ~7) : nameEnd + 1
    if ((flags & STAGE_MASK) !== 0 && names.isRepeated()) continue
    names.take()
    if (mode === GITLINK) gitlinks.push(rows)
    starts[rows] = start
    ends[rows] = names.to
    rows += 1
  }
  const text = names.bytes.subarray(0, names.to)
  return {
    starts: starts.subarray(0, rows),
    ends: ends.subarray(0, rows),
    text,
    paths: rows === 0 ? [] : textOfPaths({ text, ends }).split('\0'),
    gitlinks,
    next: position,
  }
}

/** Paths as bytes, with a zero byte between two, in memory that threads share. */
class NameText {
  bytes: Uint8Array<SharedArrayBuffer>
  /** Where the last one is that was taken. */
  from = 0
  to = 0
  #isEmpty = true
  /** Where the one that was added since ends. */
  #end = 0

  constructor(capacity: number) {
    this.bytes = new Uint8Array(new SharedArrayBuffer(capacity))
  }

  get #next(): number {
    return this.#isEmpty ? 0 : this.to + 1
  }

  /** @param kept how many bytes it has in common with the last one. @returns false when there is no room for it */
  add(kept: number, source: Uint8Array, from: number, end: number): boolean {
    let at = this.#next
    this.#end = at + kept + end - from
    if (this.#end >= this.bytes.length && !this.#grow()) return false
    const { bytes } = this
    if (at > 0) bytes[at - 1] = 0
    for (let old = this.from; old < this.from + kept; old += 1) bytes[at++] = bytes[old] ?? 0
    for (let each = from; each < end; each += 1) bytes[at++] = source[each] ?? 0
    return true
  }

  isRepeated(): boolean {
    const next = this.#next
    if (this.#isEmpty || this.#end - next !== this.to - this.from) return false
    for (let at = this.from; at < this.to; at += 1)
      if (this.bytes[at] !== this.bytes[next + at - this.from]) return false
    return true
  }

  take(): void {
    this.from = this.#next
    this.to = this.#end
    this.#isEmpty = false
  }

  #grow(): boolean {
    if (this.#end >= MAX_TEXT_BYTES) return false
    const larger = new Uint8Array(new SharedArrayBuffer(this.#end * 2))
    larger.set(this.bytes)
    this.bytes = larger
    return true
  }
}

/** For so short a way, a loop is faster than a search. */
function endOfName(bytes: Uint8Array, start: number): number {
  let end = start
  while (end < bytes.length && bytes[end] !== 0) end += 1
  return end
}

/** The offset encoding of pack files: 7 bits a byte, each continuation adds one. */
function readOffset(bytes: Buffer, start: number): { value: number; next: number } {
  let position = start
  let byte = bytes[position++] ?? 0
  let value = byte & 127
  while ((byte & 128) !== 0) {
    byte = bytes[position++] ?? 0
    value = (value + 1) * 128 + (byte & 127)
  }
  return { value, next: position }
}
