import type { BytePath } from '../../byte-path.ts'
import { treeMode } from '../private/build-trees.ts'
import type { ConversionRules } from './conversion-rules.ts'
import { tableOver, type EntryTable } from '../table/entry-table.ts'
import type { DoneAhead } from './do-ahead.ts'
import { modeOfRow } from '../table/index-rows.ts'
import { FIELDS, sharedNumbers, textOfPaths } from '../table/shared-columns.ts'
import type { IndexStamps } from '../walk/start-stamping.ts'
import type { UserIndex } from '../user/user-index.ts'

/** What the index says of files that cannot have changed since it was written, and that no filter can have changed. */
export interface BelievedEntries {
  /** Of all paths to look at; the rows of those that are not believed say nothing. */
  readonly table: EntryTable
  /** By the row of the table the one in the index; `NOT_BELIEVED` where there is none that counts. */
  readonly rows: Int32Array
  /** What was seen of a path that is not believed; `undefined` when nobody looked at it. */
  readonly stampAt: (row: number) => ReturnType<IndexStamps['stampAt']> | undefined
  /** Where the table is not what the index says, although it is believed; or says nothing. */
  readonly unlikeIndex: readonly BytePath[]
  readonly ahead: DoneAhead
}

export const NOT_BELIEVED = -1

/** What can be said of the paths to look at before anybody has looked. */
export interface IndexMatch {
  readonly candidates: readonly BytePath[]
  readonly ofIndex: Pick<UserIndex, 'rows' | 'paths'>
  /** By the row of the candidates the one in the index. */
  readonly found: Int32Array
  /** Whether the candidates are just what the index names. */
  readonly isAll: boolean
}

/** @param candidates all paths to look at, sorted */
export function matchIndex(
  candidates: readonly BytePath[],
  ofIndex: Pick<UserIndex, 'rows' | 'paths'>,
): IndexMatch {
  const found = rowsOf(candidates, ofIndex.paths)
  const isAll = candidates.length === ofIndex.paths.length && !found.includes(NOT_BELIEVED)
  return { candidates, ofIndex, found, isAll }
}

/** Makes no object for a file. */
export function believeIndex(
  { candidates, ofIndex, found, isAll }: IndexMatch,
  stamps: IndexStamps,
  conversions: ConversionRules,
  ahead: DoneAhead,
): BelievedEntries {
  const { ids } = ahead
  const { rows: inIndex, paths } = ofIndex
  const rows = Int32Array.from(found)
  const unlikeIndex: BytePath[] = isAll ? [] : pathsLeft(paths, found)
  const { numbers, times } = stamps.columns
  for (let at = 0; at < found.length; at += 1) {
    const row = found[at] ?? NOT_BELIEVED
    if (row === NOT_BELIEVED) continue
    const isBelieved =
      stamps.isUntouched(row) && (conversions.isNone || !conversions.mayDiffer(candidates[at] ?? ''))
    if (!isBelieved) rows[at] = NOT_BELIEVED
    else if (treeMode(numbers[row * FIELDS] ?? 0) !== treeMode(modeOfRow(inIndex, row)))
      unlikeIndex.push(paths[row] ?? '')
  }
  const stampAt = (at: number) => {
    const row = found[at] ?? NOT_BELIEVED
    return row === NOT_BELIEVED ? undefined : stamps.stampAt(row)
  }
  const rest = { rows, stampAt, unlikeIndex, ahead }
  if (isAll) {
    const text = textOfPaths(inIndex)
    const shared = { text: inIndex.text, ends: inIndex.ends }
    return { table: tableOver({ paths: text, numbers, times, ids }, paths, () => shared), ...rest }
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
  return { table: tableOver({ paths: candidates.join('\0'), ...own }, candidates), ...rest }
}

/** Those that nobody looks for. */
function pathsLeft(paths: readonly BytePath[], found: Int32Array): BytePath[] {
  const wanted = new Uint8Array(paths.length)
  for (const row of found) if (row !== NOT_BELIEVED) wanted[row] = 1
  return paths.filter((_, row) => wanted[row] === 0)
}

/** Where each of some sorted paths is among others. */
function rowsOf(wanted: readonly BytePath[], paths: readonly BytePath[]): Int32Array {
  const rows = new Int32Array(wanted.length).fill(NOT_BELIEVED)
  if (wanted === paths) return rows.map((_, row) => row)
  let row = 0
  for (const [at, path] of wanted.entries()) {
    while (row < paths.length && paths[row] !== path && (paths[row] ?? '') < path) row += 1
    if (paths[row] === path) rows[at] = row++
  }
  return rows
}
