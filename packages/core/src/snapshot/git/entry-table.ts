import type { BigIntStats } from 'node:fs'
import { compareBytes, type BytePath } from '../byte-path.ts'
import { FIELDS, sharedNumbers, sharePaths } from './shared-columns.ts'
import type { SharedColumns, SharedPaths, StampNumbers } from './shared-columns.ts'
import { rowFinder, rowOf } from './sorted-paths.ts'
import type { CapturedEntry, FileStamp } from './file-stamp.ts'

/** What was captured, by path; a map is one too. */
export interface CapturedEntries extends Iterable<readonly [BytePath, CapturedEntry]> {
  readonly size: number
  get(path: BytePath): CapturedEntry | undefined
  has(path: BytePath): boolean
  keys(): Iterable<BytePath>
}

/** The captured files and links, sorted by path. */
export interface EntryTable extends CapturedEntries {
  readonly paths: () => readonly BytePath[]
  readonly columns: () => EntryColumns
  /** For other threads, which get it without a copy. Made when it is first asked for. */
  readonly shared: () => SharedColumns
}

/** One typed array for each field: handling objects one by one would take longer than the rest of a capture. */
export interface StampColumns extends StampNumbers {
  readonly paths: string
}

export interface EntryColumns extends StampColumns {
  readonly ids: string
}

type Stamped = FileStamp & { readonly settled: boolean }

/** What was captured before, and the only paths that may have changed, come or gone since. */
export interface EarlierTable {
  readonly table: EntryTable
  readonly touched: readonly BytePath[]
}

export function tableOf(entries: CapturedEntries, earlier: EarlierTable | null): EntryTable {
  if (earlier !== null && hasSamePaths(earlier, entries))
    return tableOver(copyWith(earlier, entries), earlier.table.paths(), earlier.table.shared)
  const paths = [...entries.keys()]
  return tableOver({ ...toColumns(entries), ids: idsOf(entries) }, paths)
}

export function hasSamePaths({ table, touched }: EarlierTable, entries: CapturedEntries): boolean {
  return table.size === entries.size && touched.every((path) => entries.has(path) === table.has(path))
}

export function tableOfColumns(columns: EntryColumns): EntryTable {
  return tableOver(columns, split(columns.paths))
}

/** @param sharedPaths of a table of the same paths */
function tableOver(
  columns: EntryColumns,
  paths: readonly BytePath[],
  sharedPaths: () => SharedPaths = () => sharePaths(paths, columns.paths),
): EntryTable {
  const { ids } = columns
  let shared: SharedColumns | null = null
  const idLength = ids.length / Math.max(paths.length, 1)
  const find = rowFinder(paths)
  const at = (row: number): CapturedEntry => ({
    ...stampedRow(columns, row),
    id: ids.slice(row * idLength, (row + 1) * idLength),
  })
  return {
    size: paths.length,
    paths: () => paths,
    columns: () => columns,
    shared() {
      if (shared === null) {
        const { text, ends } = sharedPaths()
        shared = { text, ends, ...sharedNumbers(paths.length) }
        shared.numbers.set(columns.numbers)
        shared.times.set(columns.times)
      }
      return shared
    },
    get(path) {
      const row = find(path)
      return row === null ? undefined : at(row)
    },
    has: (path) => find(path) !== null,
    keys: () => paths,
    *[Symbol.iterator]() {
      for (const [row, path] of paths.entries()) yield [path, at(row)] as const
    },
  }
}

/** Whether what is there now is what was captured in this row, beyond doubt. */
export function isUnchangedRow({ numbers, times }: StampNumbers, row: number, stats: BigIntStats): boolean {
  const at = row * FIELDS
  return (
    times[at + 2] === stats.ctimeNs &&
    times[at + 1] === stats.mtimeNs &&
    times[at] === stats.ino &&
    numbers[at + 1] === Number(stats.size) &&
    numbers[at] === Number(stats.mode) &&
    numbers[at + 2] === 1
  )
}

function idsOf(entries: CapturedEntries): string {
  let ids = ''
  for (const [, { id }] of entries) ids += id
  return ids
}

/** Making all columns anew would take as long as looking at a part of the files. */
function copyWith({ table, touched }: EarlierTable, entries: CapturedEntries): EntryColumns {
  const old = table.columns()
  const paths = table.paths()
  const [numbers, times] = [old.numbers.slice(), old.times.slice()]
  const idLength = old.ids.length / Math.max(paths.length, 1)
  const ids: string[] = []
  let copied = 0
  for (const path of touched.toSorted(compareBytes)) {
    const entry = entries.get(path)
    const row = rowOf(paths, path)
    if (entry === undefined || row === null) continue
    fillRow({ numbers, times }, row, entry)
    ids.push(old.ids.slice(copied, row * idLength), entry.id)
    copied = (row + 1) * idLength
  }
  ids.push(old.ids.slice(copied))
  return { paths: old.paths, numbers, times, ids: ids.join('') }
}

export function fillRow({ numbers, times }: StampNumbers, row: number, entry: Stamped): void {
  const at = row * FIELDS
  numbers[at] = entry.mode
  numbers[at + 1] = entry.size
  numbers[at + 2] = entry.settled ? 1 : 0
  times[at] = entry.inode
  times[at + 1] = entry.mtimeNs
  times[at + 2] = entry.ctimeNs
}

export function toColumns(
  rows: Iterable<readonly [BytePath, Stamped]> & { readonly size: number },
): StampColumns {
  const numbers = new Float64Array(rows.size * FIELDS)
  const times = new BigInt64Array(rows.size * FIELDS)
  const paths: BytePath[] = []
  for (const [path, entry] of rows) {
    fillRow({ numbers, times }, paths.length, entry)
    paths.push(path)
  }
  return { paths: paths.join('\0'), numbers, times }
}

export function fromColumns<T>(
  columns: StampColumns,
  paths: readonly BytePath[],
  rest: (row: number) => T,
): Map<BytePath, Stamped & T> {
  const rows = new Map<BytePath, Stamped & T>()
  for (const [row, path] of paths.entries()) rows.set(path, { ...stampedRow(columns, row), ...rest(row) })
  return rows
}

export function stampedRow({ numbers, times }: StampNumbers, row: number): Stamped {
  const at = row * FIELDS
  return {
    mode: numbers[at] ?? 0,
    size: numbers[at + 1] ?? 0,
    settled: numbers[at + 2] === 1,
    inode: times[at] ?? 0n,
    mtimeNs: times[at + 1] ?? 0n,
    ctimeNs: times[at + 2] ?? 0n,
  }
}

export function split(text: string): BytePath[] {
  return text === '' ? [] : text.split('\0')
}
