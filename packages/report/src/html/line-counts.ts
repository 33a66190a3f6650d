import type { FileDiff } from '../list-file-diffs.ts'
import { markup, type Markup } from './markup.ts'

/** `+3 −1`, in colour; nothing where lines were not counted. */
export function lineCounts(file: FileDiff): Markup | null {
  const { insertions, deletions, isBinary } = file
  if (isBinary || insertions === null || deletions === null || insertions + deletions === 0) return null
  return markup`<span class="counts"
    >${insertions > 0 && markup`<span class="plus">+${insertions}</span>`}${deletions > 0 && markup`<span class="minus">−${deletions}</span>`}</span
  >`
}

/** Five squares that show how much of the change is added and how much removed. */
export function balance(file: FileDiff): Markup | null {
  const { insertions, deletions, isBinary } = file
  if (isBinary || insertions === null || deletions === null || insertions + deletions === 0) return null
  const squares = Math.min(insertions + deletions, 5)
  const share = Math.round((insertions / (insertions + deletions)) * squares)
  const plus = Math.min(
    Math.max(share, insertions > 0 ? 1 : 0),
    deletions > 0 && squares > 1 ? squares - 1 : squares,
  )
  const kinds = Array.from({ length: 5 }, (_, index) =>
    index < plus ? 'plus' : index < squares ? 'minus' : 'none',
  )
  return markup`<span class="balance" aria-hidden="true"
    >${kinds.map((kind) => markup`<i class="${kind}"></i>`)}</span
  >`
}
