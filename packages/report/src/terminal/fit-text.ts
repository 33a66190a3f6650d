import stringWidth from 'string-width'
import type { Style } from './palette.ts'

const ascii = /^[\x20-\x7e]*$/
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** Columns that a text takes in a terminal: wide characters and emoji take two, combining marks none. */
export function widthOf(text: string): number {
  return ascii.test(text) ? text.length : stringWidth(text)
}

/** Shortens a text in its middle, so that both the first directory and the file name of a path stay readable. */
export function shortenMiddle(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  if (width <= 1) return '…'.slice(0, Math.max(width, 0))
  const clusters = [...graphemes.segment(text)].map(({ segment }) => segment)
  const tail = takeWidth(clusters.toReversed(), Math.ceil((width - 1) * 0.65)).toReversed()
  const head = takeWidth(clusters, width - 1 - widthOf(tail.join('')))
  return `${head.join('')}…${tail.join('')}`
}

function takeWidth(clusters: readonly string[], width: number): string[] {
  const taken: string[] = []
  let used = 0
  for (const cluster of clusters) {
    used += widthOf(cluster)
    if (used > width) break
    taken.push(cluster)
  }
  return taken
}

export interface StyledText {
  readonly text: string
  readonly style: Style
}

/** Breaks styled text into rows of at most `width` columns, never inside a character. Empty text is one empty row. */
export function wrapText(parts: readonly StyledText[], width: number): StyledText[][] {
  const rows: StyledText[][] = [[]]
  let used = 0
  for (const { text, style } of parts) {
    let piece = ''
    for (const cluster of ascii.test(text) ? text : segments(text)) {
      const columns = widthOf(cluster)
      if (used + columns > width && used > 0) {
        if (piece !== '') rows.at(-1)?.push({ text: piece, style })
        rows.push([])
        piece = ''
        used = 0
      }
      piece += cluster
      used += columns
    }
    if (piece !== '') rows.at(-1)?.push({ text: piece, style })
  }
  return rows
}

/** Breaks prose between words; a word wider than the width is broken inside. */
export function wrapWords(text: string, width: number): string[] {
  const rows: string[] = []
  for (const word of text.split(' ')) {
    const last = rows.at(-1)
    if (last !== undefined && widthOf(last) + 1 + widthOf(word) <= width)
      rows[rows.length - 1] = `${last} ${word}`
    else {
      for (const parts of wrapText([{ text: word, style: 'plain' }], width)) {
        rows.push(parts.map((part) => part.text).join(''))
      }
    }
  }
  return rows
}

function* segments(text: string): Generator<string, void, void> {
  for (const { segment } of graphemes.segment(text)) yield segment
}

/** Tabs as spaces, up to the next multiple of `size` columns; `column` is where the text begins. */
export function expandTabs(text: string, column: number, size: number): string {
  if (!text.includes('\t')) return text
  let at = column
  return text
    .split(/(\t)/)
    .map((part) => {
      const expanded = part === '\t' ? ' '.repeat(size - (at % size)) : part
      at += widthOf(expanded)
      return expanded
    })
    .join('')
}
