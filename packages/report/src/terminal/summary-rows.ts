import { formatCount } from '../format-size.ts'
import { visibleText } from '../hidden-characters.ts'
import { changeFacts, statusLetters } from '../change-facts.ts'
import { countLines, shownPath, type FileDiff, type FileStatus } from '../list-file-diffs.ts'
import { shortenMiddle, widthOf } from './fit-text.ts'
import type { Paint, Style } from './palette.ts'

export interface SummaryRowsOptions {
  readonly width: number
  readonly paint: Paint
  readonly maxRows: number
}

const MAX_BAR = 32
const MIN_BAR = 8

const letterStyles: Readonly<Record<FileStatus, Style>> = {
  added: 'green',
  modified: 'yellow',
  deleted: 'red',
  renamed: 'cyan',
  'type-changed': 'yellow',
  'mode-changed': 'yellow',
}

/** One row for each file: letter, path, counts, a bar to scale, and what else changed. */
export function summaryRows(files: readonly FileDiff[], options: SummaryRowsOptions): string[] {
  const { width, paint, maxRows } = options
  const shown = files.length > maxRows ? files.slice(0, Math.max(maxRows - 1, 0)) : files
  const counts = shown.map(countsOf)
  const countWidth = counts.reduce((most, count) => Math.max(most, count.length), 0)
  const paths = shown.map(pathOf)
  const longest = paths.reduce((most, path) => Math.max(most, widthOf(path)), 0)
  const facts = shown.map((file) => changeFacts(file).join(', '))
  const widestFacts = facts.reduce((most, text) => Math.max(most, widthOf(text)), 0)
  const lastWidth = Math.min(Math.max(MIN_BAR, widestFacts), Math.floor(width / 3))
  const pathWidth = Math.min(longest, Math.max(width - 3 - 2 - countWidth - 1 - lastWidth, 12))
  const room = width - 3 - pathWidth - 2 - countWidth - 1
  const most = shown.reduce((largest, file) => Math.max(largest, linesOf(file)), 0)

  const rows = shown.map((file, index) => {
    const path = shortenMiddle(paths[index] ?? '', pathWidth)
    const start = `${paint(statusLetters[file.status], letterStyles[file.status])}  ${path}`
    const padding = ' '.repeat(pathWidth - widthOf(path) + 2)
    const count = (counts[index] ?? '').padStart(countWidth)
    return `${start}${padding}${count} ${lastColumn(file, facts[index] ?? '', { most, room, paint })}`.trimEnd()
  })
  if (shown.length < files.length) rows.push(restRow(files.slice(shown.length), options))
  return rows
}

/** The bar and the facts; where there is room for one of them only, the facts. */
function lastColumn(
  file: FileDiff,
  facts: string,
  { most, room, paint }: { readonly most: number; readonly room: number; readonly paint: Paint },
): string {
  const { added, removed } = drawBar(file, most, Math.min(room, MAX_BAR))
  const bar = paint('+'.repeat(added), 'green') + paint('-'.repeat(removed), 'red')
  if (facts === '') return bar
  const fits = added + removed > 0 && added + removed + 1 + widthOf(facts) <= room
  const text = paint(shortenMiddle(facts, room), 'dim')
  return fits ? `${bar} ${text}` : text
}

function pathOf(file: FileDiff): string {
  const path = visibleText(shownPath(file))
  return file.renamedFrom === null ? path : `${visibleText(file.renamedFrom)} → ${path}`
}

function countsOf(file: FileDiff): string {
  if (file.isBinary || file.insertions === null) return ''
  const counts = [
    ...(file.insertions > 0 ? [`+${file.insertions}`] : []),
    ...((file.deletions ?? 0) > 0 ? [`−${file.deletions}`] : []),
  ]
  return counts.join(' ')
}

function linesOf(file: FileDiff): number {
  return (file.insertions ?? 0) + (file.deletions ?? 0)
}

/** The longest bar fills the width; none is longer than its number of lines, and a side with lines has a character. */
function drawBar(file: FileDiff, most: number, width: number): { added: number; removed: number } {
  const [insertions, deletions] = [file.insertions ?? 0, file.deletions ?? 0]
  if (most <= width) return { added: insertions, removed: deletions }
  const length = Math.max(Math.round((linesOf(file) / most) * width), Math.min(linesOf(file), 2))
  const added = Math.round((insertions / Math.max(linesOf(file), 1)) * length)
  const least = insertions > 0 ? 1 : 0
  const greatest = deletions > 0 ? length - 1 : length
  const clamped = Math.min(Math.max(added, least), Math.max(greatest, least))
  return { added: clamped, removed: Math.max(length - clamped, 0) }
}

function restRow(rest: readonly FileDiff[], { paint, width }: SummaryRowsOptions): string {
  const { insertions, deletions } = countLines(rest)
  const lines = `+${insertions.toLocaleString('en-US')} −${deletions.toLocaleString('en-US')}`
  return paint(shortenMiddle(`… and ${formatCount(rest.length, 'more file')} (${lines})`, width), 'yellow')
}
