import {
  assertKnownOptions,
  WorkspaceError,
  isAmount,
  isBytes,
  isCount,
  isFlag,
  isObject,
  isOneOf,
  type OptionNames,
  type WorkspaceDiff,
} from '@ws/core'
import { formatCount } from '../format-size.ts'
import { visibleText } from '../hidden-characters.ts'
import { countLines, listFileDiffs, patchWhereabouts, type FileDiff } from '../list-file-diffs.ts'
import { createBlockMaker } from '../patch/change-blocks.ts'
import { fileHeading, hunkRows } from './file-hunks.ts'
import { shortenMiddle, wrapWords } from './fit-text.ts'
import { createPaint, wantsColor, type Paint, type TerminalStream } from './palette.ts'
import { summaryRows } from './summary-rows.ts'

export interface RenderDiffOptions {
  /** Whether to use colour; `auto`: on a terminal, as `FORCE_COLOR`, `NO_COLOR` and `TERM=dumb` allow. @default 'auto' */
  readonly color?: boolean | 'auto' | undefined
  /** Columns. Lines that are longer go on in the next row. @default the stream's width, or 80 */
  readonly width?: number | undefined
  /** The most rows of output (but at least 8), the summary first; small files stay whole, large ones share what is left. What is left out is counted. @default 2_000 */
  readonly maxLines?: number | undefined
  /** Whether the changed lines follow the summary. @default true */
  readonly hunks?: boolean | undefined
  /** Where the text will be printed; asked for its width and whether it is a terminal, never written to. @default process.stdout */
  readonly stream?: TerminalStream | undefined
  /** The patch, when it is not in the diff but in the artifact store. @default the one in the diff */
  readonly patch?: Uint8Array | undefined
}

const renderDiffOptionNames: OptionNames<RenderDiffOptions> = {
  color: isOneOf(true, false, 'auto'),
  width: isCount,
  maxLines: isAmount,
  hunks: isFlag,
  stream: isObject,
  patch: isBytes,
}

const MIN_WIDTH = 40
const MIN_LINES = 8

/**
 * Draws a diff for a terminal: a summary with one row for each file, then the changed lines with the words in them
 * marked. Ends with a line feed.
 *
 * Names and contents are hostile: control characters, escape sequences, bidi controls and invisible characters come out
 * as visible names (`<ESC>`, `<U+202E>`), bytes that are not UTF-8 as `<9F>`; nothing but this function's own colours acts
 * on the terminal. Rows are no wider than `width` (but at least 40 columns), wide characters and emoji counted as two.
 * Takes time linear in the size of the diff.
 */
export function renderDiff(diff: WorkspaceDiff, options: RenderDiffOptions = {}): string {
  assertDiff(diff)
  assertKnownOptions('renderDiff', options, renderDiffOptionNames)
  const { color = 'auto', hunks = true, stream = process.stdout } = options
  const maxLines = Math.max(options.maxLines ?? 2_000, MIN_LINES)
  const width = Math.max(options.width ?? stream.columns ?? 80, MIN_WIDTH)
  const paint = createPaint(color === 'auto' ? wantsColor(stream, process.env) : color)
  const { files, patch } = listFileDiffs(diff, options.patch)
  if (files.length === 0) return 'No changes.\n'

  const whereabouts = hunks ? patchWhereabouts(diff, patch) : null
  const note = whereabouts === null ? [] : ['', ...wrapWords(visibleText(whereabouts), width)]
  const rows = [paint(headline(files), 'bold'), '']
  const reserved = rows.length + Math.max(note.length, 1)
  rows.push(...summaryRows(files, { width, paint, maxRows: Math.max(maxLines - reserved, 1) }))
  rows.push(...note.map((row) => paint(row, 'dim')))
  if (hunks && patch !== null)
    rows.push(...contentRows(files, patch, { width, paint, maxRows: maxLines - rows.length }))
  return `${rows.join('\n')}\n`
}

/** A run has no diff where it could not be computed, and callers without types pass that on. */
function assertDiff(diff: Partial<WorkspaceDiff> | null | undefined): void {
  if (Array.isArray(diff?.changes)) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    'renderDiff needs a diff: what workspace.diff() gave, or result.workspace.diff of a run where it is not null.',
  )
}

function headline(files: readonly FileDiff[]): string {
  const { insertions, deletions } = countLines(files)
  const isCounted = files.some((file) => file.insertions !== null)
  const lines = isCounted
    ? `, +${insertions.toLocaleString('en-US')} −${deletions.toLocaleString('en-US')}`
    : ''
  return `${formatCount(files.length, 'file')} changed${lines}`
}

function contentRows(
  files: readonly FileDiff[],
  patch: Uint8Array,
  { width, paint, maxRows }: { readonly width: number; readonly paint: Paint; readonly maxRows: number },
): string[] {
  const rows: string[] = []
  const leftOutRow = (count: number, noun: string) => paint(leftOutText(count, noun, width), 'yellow')
  const makeBlocks = createBlockMaker()
  const withLines = files.filter((file) => file.hunks.length > 0)
  const share = fairShare(withLines.map(rowsOf), maxRows)
  let filesLeftOut = 0
  for (const file of withLines) {
    const room = Math.min(share, maxRows - rows.length - 1) - HEADING_ROWS
    if (room <= HEADING_ROWS) {
      filesLeftOut += 1
      continue
    }
    const content = hunkRows(file, patch, { width, paint, maxRows: room, makeBlocks })
    rows.push('', ...fileHeading(file, { width, paint }), ...content.rows)
    if (content.linesLeftOut > 0) rows.push(leftOutRow(content.linesLeftOut, 'more line'))
  }
  if (filesLeftOut > 0) rows.push(leftOutRow(filesLeftOut, 'more file'))
  return rows
}

/** As short as the narrowest terminal needs it. */
function leftOutText(count: number, noun: string, width: number): string {
  return shortenMiddle(`… ${formatCount(count, noun)} over maxLines`, width)
}

/** An empty row, the heading, and the note on what is left out. */
const HEADING_ROWS = 3

function rowsOf(file: FileDiff): number {
  return file.hunks.reduce((rows, hunk) => rows + 1 + hunk.oldLines + hunk.newLines, HEADING_ROWS)
}

/** The cap for one file with which all files together fill the room: small ones are whole, large ones share the rest. */
function fairShare(sizes: readonly number[], room: number): number {
  let left = room
  for (const [index, size] of sizes.toSorted((a, b) => a - b).entries()) {
    const share = Math.floor(left / (sizes.length - index))
    if (size > share) return Math.max(share, MIN_SHARE)
    left -= size
  }
  return Number.POSITIVE_INFINITY
}

const MIN_SHARE = 12
