import { changeFacts, statusLetters } from '../change-facts.ts'
import { formatCount, formatSize } from '../format-size.ts'
import { shownPath, type FileDiff } from '../list-file-diffs.ts'
import type { ChangeBlock, ComparedLine } from '../patch/change-blocks.ts'
import type { Hunk } from '../patch/parse-patch.ts'
import { readHunkLines, type HunkLine } from '../patch/read-hunk-lines.ts'
import type { ImageViewer, ReportImages } from './image-view.ts'
import { content, markup, type Markup } from './markup.ts'
import { balance, lineCounts } from './line-counts.ts'
import type { ReportCaps } from './report-caps.ts'

export interface FileSectionContext {
  readonly patch: Uint8Array | null
  readonly caps: ReportCaps
  readonly images: ReportImages
  readonly viewImage: ImageViewer
  readonly makeBlocks: (lines: readonly HunkLine[]) => ChangeBlock[]
  /** What is left for the whole report: lines at all, and lines in sections that start open. */
  readonly budget: { lines: number; openLines: number }
}

const MAX_OPEN_LINES = 500

/** One changed file: a line to open it by, its images, and its lines before and after, side by side. */
export function fileSection(file: FileDiff, index: number, context: FileSectionContext): Markup {
  const image = context.images.get(file.path)
  const images = image === undefined ? null : context.viewImage(image)
  const { hunks, linesShown, linesLeftOut } = hunkList(file, context)
  const isOpen = linesShown <= Math.min(MAX_OPEN_LINES, context.budget.openLines) && file.status !== 'deleted'
  if (isOpen) context.budget.openLines -= linesShown
  const facts = changeFacts(file)
  const hasContent = images !== null || linesShown > 0 || linesLeftOut > 0
  const summary = markup`<span class="letter ${file.status}" title="${file.status}"
      >${statusLetters[file.status]}</span
    ><span class="path"
      >${file.renamedFrom !== null && markup`<span class="quiet">${content(file.renamedFrom)} → </span>`}${content(shownPath(file))}</span
    ><span class="facts"
      >${facts.map((fact) => markup`<span class="fact">${fact}</span>`)}${lineCounts(file)}${balance(file)}</span
    >`
  if (!hasContent)
    return markup`<div class="file closed-file" id="file-${index}" tabindex="-1">
      <div class="summary">${summary}</div>
    </div>`
  return markup`<details class="file" id="file-${index}" ${isOpen && markup` open`}>
    <summary>${summary}</summary>
    ${images}${hunks}${linesLeftOut > 0 && markup`<p class="note">${formatCount(linesLeftOut, 'more line')} not shown. The patch has them all.</p>`}
  </details>`
}

function hunkList(file: FileDiff, context: FileSectionContext) {
  const { patch, caps, budget, makeBlocks } = context
  const isSingle =
    file.hunks.every((hunk) => hunk.oldLines === 0) || file.hunks.every((hunk) => hunk.newLines === 0)
  const hunks: Markup[] = []
  let [linesShown, linesLeftOut, bytesShown] = [0, 0, 0]
  for (const hunk of patch === null ? [] : file.hunks) {
    const { lines, ...read } = readHunkLines(patch ?? Buffer.alloc(0), hunk, {
      maxLines: Math.max(Math.min(caps.maxLinesPerFile - linesShown, budget.lines), 0),
      maxBytes: caps.maxBytesPerFile - bytesShown,
    })
    linesShown += lines.length
    bytesShown += read.bytes
    linesLeftOut += read.linesLeftOut
    budget.lines -= lines.length
    if (lines.length > 0) hunks.push(hunkView(hunk, makeBlocks(lines), isSingle))
  }
  return { hunks, linesShown, linesLeftOut }
}

function hunkView(hunk: Hunk, blocks: readonly ChangeBlock[], isSingle: boolean): Markup {
  const place = isSingle
    ? null
    : markup`<p class="hunk-title">
        Line
        ${hunk.newStart || hunk.oldStart}${hunk.section !== '' && markup` <span>${content(hunk.section)}</span>`}
      </p>`
  const body = blocks.map((block) => (isSingle ? singleRows(block) : pairedRows(block)))
  return markup`${place}
    <div class="rows ${isSingle ? 'single' : 'paired'}">${body}</div> `
}

function singleRows({ removed, added }: ChangeBlock): Markup {
  return markup`<div class="block">${removed.map(lineView)}${added.map(lineView)}</div>`
}

/** Left and right take turns, so that a grid of two columns lines them up; a grid of one column orders them by kind. */
function pairedRows({ isContext, removed, added }: ChangeBlock): Markup {
  const rows: Markup[] = []
  for (let index = 0; index < Math.max(removed.length, added.length); index += 1) {
    const [left, right] = [removed[index], added[index]]
    rows.push(left === undefined ? filler : isContext ? contextLine(left, 'old') : lineView(left))
    rows.push(right === undefined ? filler : isContext ? contextLine(right, 'new') : lineView(right))
  }
  return markup`<div class="block">${rows}</div>`
}

const filler = markup`<div class="filler"></div>`

function contextLine(line: ComparedLine, side: 'old' | 'new'): Markup {
  const number = side === 'old' ? line.oldNumber : line.newNumber
  return markup`<div class="line ${side}" data-n="${number}"><code>${lineContent(line)}</code></div>`
}

function lineView(line: ComparedLine): Markup {
  if (line.kind === 'removed')
    return markup`<del class="line old" data-n="${line.oldNumber}"><code>${lineContent(line)}</code></del>`
  return markup`<ins class="line new" data-n="${line.newNumber}"><code>${lineContent(line)}</code></ins>`
}

function lineContent(line: ComparedLine): Markup {
  const words = line.words?.map(({ text, isChanged }) =>
    isChanged ? markup`<mark>${content(text)}</mark>` : content(text),
  )
  return markup`${words ?? content(line.text)}${line.bytesCut > 0 && markup`<span class="aside"> … ${formatSize(line.bytesCut)} more</span>`}${line.lacksNewline && markup`<span class="aside"> no newline at the end</span>`}`
}
