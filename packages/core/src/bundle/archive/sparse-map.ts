import type { Buffer } from 'node:buffer'
import { corrupt } from './archive-error.ts'
import { parseSize, readNumber } from './tar-fields.ts'

/** A piece of a file that is there; the rest are holes. */
export interface SparseSegment {
  readonly offset: number
  readonly length: number
}

export const MAX_SPARSE_MAP_BYTES = 1024 * 1024

/** Checks that the pieces follow each other, lie in the file and are the content that the archive holds. */
export function checkSparseMap(
  segments: readonly SparseSegment[],
  realSize: number,
  storedBytes: number,
): void {
  let end = 0
  let total = 0
  for (const { offset, length } of segments) {
    if (offset < end || offset + length > realSize) throw corrupt('a sparse map leaves its file')
    end = offset + length
    total += length
  }
  if (total !== storedBytes) throw corrupt('a sparse map does not fit its content')
}

/** Entries of GNU's old sparse format: pairs of 12-byte numbers; an empty one ends the list. */
export function readOldSparseEntries(block: Buffer, offset: number, count: number): SparseSegment[] {
  const segments: SparseSegment[] = []
  for (let index = 0; index < count; index += 1) {
    const position = offset + index * 24
    if (block[position] === 0) break
    segments.push({
      offset: readNumber(block, position, 12, 'sparse offset'),
      length: readNumber(block, position + 12, 12, 'sparse length'),
    })
  }
  return segments
}

/** The map at the head of a format 1.0 content: decimal lines, padded to a block. `null`: more bytes are needed. */
export function parseLeadingMap(data: Buffer): { segments: SparseSegment[]; bytes: number } | null {
  let position = 0
  const numbers: number[] = []
  for (let wanted = 1; numbers.length < wanted;) {
    const newline = data.indexOf(0x0a, position)
    if (newline === -1) {
      if (data.length - position > 32) throw corrupt('a sparse map is malformed')
      return null
    }
    numbers.push(parseSize(data.toString('latin1', position, newline)))
    position = newline + 1
    if (numbers.length === 1) wanted = 1 + 2 * (numbers[0] ?? 0)
    if (wanted > MAX_SPARSE_MAP_BYTES) throw corrupt('a sparse map is too long')
  }
  const bytes = Math.ceil(position / 512) * 512
  if (data.length < bytes) return null
  const segments: SparseSegment[] = []
  for (let index = 1; index < numbers.length; index += 2) {
    segments.push({ offset: numbers[index] ?? 0, length: numbers[index + 1] ?? 0 })
  }
  return { segments, bytes }
}
