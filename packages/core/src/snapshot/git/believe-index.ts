import type { BytePath } from '../byte-path.ts'
import type { ConversionRules } from './conversion-rules.ts'
import { tableOver, type EntryTable } from './entry-table.ts'
import { idsOfRows } from './index-rows.ts'
import { FIELDS, sharedNumbers } from './shared-columns.ts'
import type { IndexStamps } from './start-stamping.ts'
import type { UserIndex } from './user-index.ts'

/** What the index says of files that cannot have changed since it was written, and that no filter can have changed. */
export interface BelievedEntries {
  /** Of all paths to look at; the rows of those that are not believed say nothing. */
  readonly table: EntryTable
  /** By the row of the table the one in the index; `NOT_BELIEVED` where there is none that counts. */
  readonly rows: Int32Array
  /** What was seen of a path that is not believed; `undefined` when nobody looked at it. */
  readonly stampAt: (row: number) => ReturnType<IndexStamps['stampAt']> | undefined
}

export const NOT_BELIEVED = -1

/** Makes no object for a file. @param candidates sorted */
export function believeIndex(
  candidates: readonly BytePath[],
  ofIndex: Pick<UserIndex, 'rows' | 'paths'>,
  stamps: IndexStamps,
  conversions: () => ConversionRules,
): BelievedEntries {
  const { rows: inIndex, paths } = ofIndex
  const found = rowsOf(candidates, paths)
  const rows = Int32Array.from(found)
  for (const [at, row] of found.entries()) {
    const isBelieved =
      row !== NOT_BELIEVED && stamps.isUntouched(row) && !conversions().mayDiffer(candidates[at] ?? '')
    if (!isBelieved) rows[at] = NOT_BELIEVED
  }
  const stampAt = (at: number) => {
    const row = found[at] ?? NOT_BELIEVED
    return row === NOT_BELIEVED ? undefined : stamps.stampAt(row)
  }
  const isAll = candidates.length === paths.length && !found.includes(NOT_BELIEVED)
  const { numbers, times } = stamps.columns
  const ids = idsOfRows(inIndex)
  if (isAll) {
    const text = Buffer.from(inIndex.text.buffer, inIndex.text.byteOffset, inIndex.text.length).toString(
      'latin1',
    )
    const shared = { text: inIndex.text, ends: inIndex.ends }
    return { table: tableOver({ paths: text, numbers, times, ids }, paths, () => shared), rows, stampAt }
  }
  const own = {
    ...sharedNumbers(candidates.length),
    ids: new Uint8Array(candidates.length * inIndex.idBytes),
  }
  // Most follow each other as they do in the index.
  for (let from = 0, to = 0; from < found.length; from = to) {
    const row = found[from] ?? NOT_BELIEVED
    for (to = from + 1; to < found.length && row !== NOT_BELIEVED && found[to] === row + to - from;) to += 1
    if (row === NOT_BELIEVED) continue
    const end = row + to - from
    own.numbers.set(numbers.subarray(row * FIELDS, end * FIELDS), from * FIELDS)
    own.times.set(times.subarray(row * FIELDS, end * FIELDS), from * FIELDS)
    own.ids.set(ids.subarray(row * inIndex.idBytes, end * inIndex.idBytes), from * inIndex.idBytes)
  }
  return { table: tableOver({ paths: candidates.join('\0'), ...own }, candidates), rows, stampAt }
}

/** Where each of some sorted paths is among others. */
function rowsOf(wanted: readonly BytePath[], paths: readonly BytePath[]): Int32Array {
  const rows = new Int32Array(wanted.length).fill(NOT_BELIEVED)
  let row = 0
  for (const [at, path] of wanted.entries()) {
    while (row < paths.length && paths[row] !== path && (paths[row] ?? '') < path) row += 1
    if (paths[row] === path) rows[at] = row++
  }
  return rows
}
