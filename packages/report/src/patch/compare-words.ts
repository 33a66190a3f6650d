import { diffWordsWithSpace } from 'diff'

export interface WordSpan {
  readonly text: string
  readonly isChanged: boolean
}

export interface WordChange {
  readonly removed: readonly WordSpan[]
  readonly added: readonly WordSpan[]
}

const MAX_LINE_LENGTH = 1_000
const MAX_EDITS = 200
const MIN_SHARE_KEPT = 0.3

/**
 * Which words of a line were replaced (Myers' algorithm, as the `diff` package does it). `null` where marking words
 * would not help or would take long: lines over 1,000 characters, more than 200 edits, or little in common.
 */
export function compareWords(removed: string, added: string): WordChange | null {
  if (removed.length > MAX_LINE_LENGTH || added.length > MAX_LINE_LENGTH) return null
  const parts = diffWordsWithSpace(removed, added, { maxEditLength: MAX_EDITS })
  if (parts === undefined) return null
  const kept = parts.reduce(
    (length, part) => (part.added || part.removed ? length : length + part.value.trim().length),
    0,
  )
  if (kept < Math.max(removed.trim().length, added.trim().length) * MIN_SHARE_KEPT) return null
  return {
    removed: parts
      .filter((part) => !part.added)
      .map((part) => ({ text: part.value, isChanged: part.removed })),
    added: parts.filter((part) => !part.removed).map((part) => ({ text: part.value, isChanged: part.added })),
  }
}
