import { decodePath } from '@ws/core'
import { endOfLine, type Hunk } from './parse-patch.ts'

export type LineKind = 'context' | 'removed' | 'added'

export interface HunkLine {
  readonly kind: LineKind
  /** Without its line feed. Bytes that are not UTF-8 are lone surrogates (see `decodePath`). */
  readonly text: string
  /** How many bytes of the line the cap on its length left out. */
  readonly bytesCut: number
  /** Line number before; `null` for an added line. */
  readonly oldNumber: number | null
  /** Line number after; `null` for a removed line. */
  readonly newNumber: number | null
  /** True for a last line that does not end in a line feed. */
  readonly lacksNewline: boolean
}

export interface LineCaps {
  readonly maxLines: number
  readonly maxBytes: number
}

export interface HunkLines {
  readonly lines: readonly HunkLine[]
  /** How many lines of the hunk the caps left out; they are the last ones. */
  readonly linesLeftOut: number
  readonly bytes: number
}

const MAX_LINE_BYTES = 2_048
const CARRIAGE_RETURN = '\r'

/** Decodes the lines of a hunk up to the caps. Carriage returns at the ends go when every line has one. */
export function readHunkLines(patch: Uint8Array, hunk: Hunk, caps: LineCaps): HunkLines {
  const source = Buffer.from(patch.buffer, patch.byteOffset, patch.byteLength)
  const lines: HunkLine[] = []
  let { oldStart: oldNumber, newStart: newNumber, start: at } = hunk
  let bytes = 0
  let linesLeftOut = 0
  while (at < hunk.end) {
    const end = Math.min(endOfLine(source, at), hunk.end)
    const kind = kindOf(source[at])
    if (kind !== null && (linesLeftOut > 0 || lines.length >= caps.maxLines || bytes >= caps.maxBytes)) {
      linesLeftOut += 1
    } else if (kind !== null) {
      const lacksNewline = end + 1 < hunk.end && source[end + 1] === 0x5c
      const content = decodeLine(source, Math.min(at + 1, end), end)
      lines.push({
        kind,
        ...content,
        oldNumber: kind === 'added' ? null : oldNumber,
        newNumber: kind === 'removed' ? null : newNumber,
        lacksNewline,
      })
      bytes += end - at - content.bytesCut
      if (kind !== 'added') oldNumber += 1
      if (kind !== 'removed') newNumber += 1
    }
    at = end + 1
  }
  return { lines: withoutUniformReturns(lines), linesLeftOut, bytes }
}

function kindOf(byte: number | undefined): LineKind | null {
  if (byte === 0x5c /* \ */) return null
  if (byte === 0x2b /* + */) return 'added'
  return byte === 0x2d /* - */ ? 'removed' : 'context'
}

function decodeLine(source: Buffer, start: number, end: number): { text: string; bytesCut: number } {
  let stop = Math.min(end, start + MAX_LINE_BYTES)
  // A cut between two bytes of one character moves to its first byte; it has four at most.
  for (let back = 0; stop < end && back < 3 && isContinuation(source[stop]); back += 1) stop -= 1
  return { text: decodePath(source.subarray(start, stop)), bytesCut: end - stop }
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

function withoutUniformReturns(lines: readonly HunkLine[]): readonly HunkLine[] {
  const isUniform = lines.every(({ text, bytesCut }) => bytesCut > 0 || text.endsWith(CARRIAGE_RETURN))
  if (!isUniform) return lines
  return lines.map((line) => (line.bytesCut > 0 ? line : { ...line, text: line.text.slice(0, -1) }))
}
