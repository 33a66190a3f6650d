import { readFileSync } from 'node:fs'
import { WorkspaceError } from '../../../errors.ts'

/** What is in a pack, by its index. */
export interface PackIndex {
  readonly count: number
  has(id: string): boolean
  ids(): Iterable<string>
  /** Where an object begins in the pack; `null` when it is not in it. */
  offsetOf(id: string): number | null
  /** Bytes that an object takes in the pack. */
  bytesOf(id: string): number
}

const MAGIC = 0xff744f63
const FAN_OUT_BYTES = 256 * 4
const HEADER_BYTES = 8

/**
 * Reads version 2 of git's pack index (gitformat-pack), which every git since 2008 writes. A process of git for it would
 * print one line for each object of the user's whole history.
 * @throws `CORRUPT`
 */
export function readPackIndex(path: string, packBytes: number, idBytes: number): PackIndex {
  return parsePackIndex(readFileSync(path), path, packBytes, idBytes)
}

/** @param path for the error's message */
export function parsePackIndex(file: Buffer, path: string, packBytes: number, idBytes: number): PackIndex {
  const idsAt = HEADER_BYTES + FAN_OUT_BYTES
  const count = file.length < idsAt ? 0 : file.readUInt32BE(idsAt - 4)
  const offsetsAt = idsAt + count * (idBytes + 4)
  const largeAt = offsetsAt + count * 4
  if (file.length < largeAt + 2 * idBytes || file.readUInt32BE(0) !== MAGIC || file.readUInt32BE(4) !== 2) {
    throw new WorkspaceError('CORRUPT', `The pack index ${path} is damaged.`, { details: { path } })
  }
  const idAt = (row: number) => file.toString('hex', idsAt + row * idBytes, idsAt + (row + 1) * idBytes)
  const offsetAt = (row: number) => {
    const offset = file.readUInt32BE(offsetsAt + row * 4)
    return offset < 0x8000_0000 ? offset : Number(file.readBigUInt64BE(largeAt + (offset - 0x8000_0000) * 8))
  }
  const find = (id: string): number | null => {
    const wanted = Buffer.from(id, 'hex')
    const fan = wanted[0] ?? 0
    let low = fan === 0 ? 0 : file.readUInt32BE(HEADER_BYTES + (fan - 1) * 4)
    let high = file.readUInt32BE(HEADER_BYTES + fan * 4)
    while (low < high) {
      const middle = (low + high) >>> 1
      const at = idsAt + middle * idBytes
      const order = wanted.compare(file, at, at + idBytes)
      if (order === 0) return middle
      if (order < 0) high = middle
      else low = middle + 1
    }
    return null
  }
  let sorted: Float64Array | null = null
  return {
    count,
    has: (id) => find(id) !== null,
    *ids() {
      for (let row = 0; row < count; row += 1) yield idAt(row)
    },
    offsetOf(id) {
      const row = find(id)
      return row === null ? null : offsetAt(row)
    },
    bytesOf(id) {
      const row = find(id)
      if (row === null) return 0
      sorted ??= Float64Array.from({ length: count }, (_, each) => offsetAt(each)).sort()
      const offset = offsetAt(row)
      return (next(sorted, offset) ?? packBytes - idBytes) - offset
    },
  }
}

/** The least number above another one. */
function next(sorted: Float64Array, value: number): number | undefined {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) <= value) low = middle + 1
    else high = middle
  }
  return sorted[low]
}
