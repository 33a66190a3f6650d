import { compareWords, type WordSpan } from './compare-words.ts'
import type { HunkLine } from './read-hunk-lines.ts'

/** A line with the words in it that were replaced, where they are known. */
export interface ComparedLine extends HunkLine {
  readonly words: readonly WordSpan[] | null
}

/** Lines in a row that were removed and those that took their place, or context lines (the same on both sides). */
export interface ChangeBlock {
  readonly isContext: boolean
  readonly removed: readonly ComparedLine[]
  readonly added: readonly ComparedLine[]
}

const MAX_BLOCK_LINES = 50
const MAX_COMPARISONS = 2_000

/** Groups lines into blocks, and compares words: in small blocks only, and at most 2,000 times for one maker. */
export function createBlockMaker(): (lines: readonly HunkLine[]) => ChangeBlock[] {
  let comparisons = 0
  const finish = (removed: readonly HunkLine[], added: readonly HunkLine[]): ChangeBlock => {
    const isSmall = Math.max(removed.length, added.length) <= MAX_BLOCK_LINES
    const pairs = Math.min(removed.length, added.length)
    const words = removed.slice(0, isSmall ? pairs : 0).map((line, index) => {
      const other = added[index]
      if (other === undefined || comparisons >= MAX_COMPARISONS) return null
      comparisons += 1
      return compareWords(line.text, other.text)
    })
    return {
      isContext: false,
      removed: removed.map((line, index) => ({ ...line, words: words[index]?.removed ?? null })),
      added: added.map((line, index) => ({ ...line, words: words[index]?.added ?? null })),
    }
  }
  return (lines) => {
    const blocks: ChangeBlock[] = []
    let at = 0
    const take = (kind: HunkLine['kind']): HunkLine[] => {
      const from = at
      while (lines[at]?.kind === kind) at += 1
      return lines.slice(from, at)
    }
    while (at < lines.length) {
      const context = take('context').map((line) => ({ ...line, words: null }))
      if (context.length > 0) blocks.push({ isContext: true, removed: context, added: context })
      const [removed, added] = [take('removed'), take('added')]
      if (removed.length + added.length > 0) blocks.push(finish(removed, added))
    }
    return blocks
  }
}
