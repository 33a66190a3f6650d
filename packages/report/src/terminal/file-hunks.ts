import { formatSize } from '../format-size.ts'
import { textPieces, visibleText } from '../hidden-characters.ts'
import type { FileDiff } from '../list-file-diffs.ts'
import type { ChangeBlock, ComparedLine } from '../patch/change-blocks.ts'
import type { Hunk } from '../patch/parse-patch.ts'
import { readHunkLines, type HunkLine, type LineKind } from '../patch/read-hunk-lines.ts'
import { expandTabs, shortenMiddle, widthOf, wrapText, type StyledText } from './fit-text.ts'
import type { Paint, Style } from './palette.ts'

export interface HunkRowsOptions {
  readonly width: number
  readonly paint: Paint
  readonly maxRows: number
  readonly makeBlocks: (lines: readonly HunkLine[]) => ChangeBlock[]
}

const TAB_SIZE = 4
const signs: Readonly<Record<LineKind, string>> = { context: ' ', removed: '-', added: '+' }
const lineStyles: Readonly<Record<LineKind, Style>> = { context: 'plain', removed: 'red', added: 'green' }

export function fileHeading(
  file: FileDiff,
  { width, paint }: { readonly width: number; readonly paint: Paint },
): string[] {
  const name = shortenMiddle(visibleText(file.path), width - 8)
  const rule = '─'.repeat(Math.max(width - widthOf(name) - 4, 0))
  return [`${paint('──', 'dim')} ${paint(name, 'bold')} ${paint(rule, 'dim')}`]
}

/** The hunks of a file as rows: line numbers before and after, sign, text. */
export function hunkRows(
  file: FileDiff,
  patch: Uint8Array,
  options: HunkRowsOptions,
): { rows: string[]; linesLeftOut: number } {
  const { width, paint, maxRows, makeBlocks } = options
  const digits = file.hunks.reduce((most, hunk) => Math.max(most, digitsOf(hunk)), 1)
  const rows: string[] = []
  let linesLeftOut = 0
  for (const hunk of file.hunks) {
    const room = maxRows - rows.length
    const caps = { maxLines: Math.max(room - 1, 0), maxBytes: Number.POSITIVE_INFINITY }
    const { lines, linesLeftOut: uncounted } = readHunkLines(patch, hunk, caps)
    if (lines.length === 0 || linesLeftOut > 0) {
      linesLeftOut += lines.length + uncounted
      continue
    }
    rows.push(paint(hunkTitle(hunk, width), 'cyan'))
    for (const block of makeBlocks(lines)) {
      for (const line of block.isContext ? block.removed : [...block.removed, ...block.added]) {
        const next = linesLeftOut === 0 ? lineRows(line, { digits, width, paint }) : []
        if (next.length === 0 || rows.length + next.length > maxRows) linesLeftOut += 1
        else rows.push(...next)
      }
    }
    linesLeftOut += uncounted
  }
  return { rows, linesLeftOut }
}

function digitsOf(hunk: Hunk): number {
  return String(Math.max(hunk.oldStart + hunk.oldLines, hunk.newStart + hunk.newLines)).length
}

function hunkTitle(hunk: Hunk, width: number): string {
  const place = `@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`
  const section = visibleText(hunk.section)
  return shortenMiddle(section === '' ? place : `${place} ${section}`, width)
}

function lineRows(
  line: ComparedLine,
  { digits, width, paint }: { readonly digits: number; readonly width: number; readonly paint: Paint },
): string[] {
  const number = (value: number | null) => (value === null ? '' : String(value)).padStart(digits)
  const gutter = `${number(line.oldNumber)} ${number(line.newNumber)} `
  const sign = paint(signs[line.kind], lineStyles[line.kind])
  return wrapText(lineParts(line), width - gutter.length - 1).map((parts, index) => {
    const text = parts.map((part) => paint(part.text, part.style)).join('')
    return index === 0 ? `${paint(gutter, 'dim')}${sign}${text}` : `${' '.repeat(gutter.length + 1)}${text}`
  })
}

function lineParts(line: ComparedLine): StyledText[] {
  const base = lineStyles[line.kind]
  const marked: Style = line.kind === 'removed' ? 'removedWord' : 'addedWord'
  const parts: StyledText[] = []
  let column = 0
  for (const { text, isChanged } of line.words ?? [{ text: line.text, isChanged: false }]) {
    for (const piece of textPieces(text, { keepTabs: true })) {
      const expanded = expandTabs(piece.text, column, TAB_SIZE)
      column += widthOf(expanded)
      parts.push({ text: expanded, style: piece.hidden !== null ? 'hidden' : isChanged ? marked : base })
    }
  }
  if (line.bytesCut > 0) parts.push({ text: ` … ${formatSize(line.bytesCut)} more`, style: 'dim' })
  if (line.lacksNewline) parts.push({ text: ' (no newline at the end)', style: 'dim' })
  return parts
}
