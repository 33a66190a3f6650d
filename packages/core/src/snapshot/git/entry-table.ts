import type { BigIntStats } from 'node:fs'
import { compareBytes, type BytePath } from '../byte-path.ts'
import type { CapturedEntry, FileStamp } from './file-stamp.ts'

/** The captured files and links, sorted by path. */
export interface EntryTable {
  readonly size: number
  readonly paths: () => readonly BytePath[]
  /** Whether what is there now is what was captured in this row, beyond doubt. */
  readonly isUnchanged: (row: number, stats: BigIntStats) => boolean
  /** As columns. Made when they are first asked for. */
  readonly columns: () => EntryColumns
  /** By path. Made when it is first asked for: an unchanged capture does without. */
  readonly map: () => ReadonlyMap<BytePath, CapturedEntry>
}

/** One typed array for each field: handling objects one by one would take longer than the rest of a capture. */
export interface StampColumns {
  readonly paths: string
  readonly numbers: Float64Array
  readonly times: BigInt64Array
}

export interface EntryColumns extends StampColumns {
  readonly ids: string
}

type Stamped = FileStamp & { readonly settled: boolean }

const FIELDS = 3

/** What was captured before, and the only paths that may have changed, come or gone since. */
export interface EarlierTable {
  readonly table: EntryTable
  readonly touched: readonly BytePath[]
}

export function tableOf(map: ReadonlyMap<BytePath, CapturedEntry>, earlier: EarlierTable | null): EntryTable {
  if (earlier !== null && hasSamePaths(earlier, map))
    return tableOver(copyWith(earlier, map), earlier.table.paths(), () => map)
  let rows: { readonly paths: BytePath[]; readonly entries: CapturedEntry[] } | null = null
  let columns: EntryColumns | null = null
  const list = () => (rows ??= { paths: [...map.keys()], entries: [...map.values()] })
  return {
    size: map.size,
    paths: () => list().paths,
    isUnchanged(row, stats) {
      const entry = list().entries[row]
      return (
        entry !== undefined &&
        entry.settled &&
        entry.ctimeNs === stats.ctimeNs &&
        entry.mtimeNs === stats.mtimeNs &&
        entry.inode === stats.ino &&
        entry.size === Number(stats.size) &&
        entry.mode === Number(stats.mode)
      )
    },
    columns: () => (columns ??= { ...toColumns(map), ids: idsOf(map) }),
    map: () => map,
  }
}

export function hasSamePaths(
  { table, touched }: EarlierTable,
  map: ReadonlyMap<BytePath, CapturedEntry>,
): boolean {
  const paths = table.paths()
  return table.size === map.size && touched.every((path) => map.has(path) === (rowOf(paths, path) !== null))
}

export function tableOfColumns(columns: EntryColumns): EntryTable {
  const paths = split(columns.paths)
  const idLength = columns.ids.length / Math.max(paths.length, 1)
  let map: ReadonlyMap<BytePath, CapturedEntry> | null = null
  return tableOver(
    columns,
    paths,
    () =>
      (map ??= fromColumns(columns, paths, (row) => ({
        id: columns.ids.slice(row * idLength, (row + 1) * idLength),
      }))),
  )
}

function tableOver(
  columns: EntryColumns,
  paths: readonly BytePath[],
  map: () => ReadonlyMap<BytePath, CapturedEntry>,
): EntryTable {
  const { numbers, times } = columns
  return {
    size: paths.length,
    paths: () => paths,
    isUnchanged(row, stats) {
      const at = row * FIELDS
      return (
        times[at + 2] === stats.ctimeNs &&
        times[at + 1] === stats.mtimeNs &&
        times[at] === stats.ino &&
        numbers[at + 1] === Number(stats.size) &&
        numbers[at] === Number(stats.mode) &&
        numbers[at + 2] === 1
      )
    },
    columns: () => columns,
    map,
  }
}

function idsOf(map: ReadonlyMap<BytePath, CapturedEntry>): string {
  let ids = ''
  for (const entry of map.values()) ids += entry.id
  return ids
}

/** Making all columns anew would take as long as looking at a part of the files. */
function copyWith({ table, touched }: EarlierTable, map: ReadonlyMap<BytePath, CapturedEntry>): EntryColumns {
  const old = table.columns()
  const paths = table.paths()
  const [numbers, times] = [old.numbers.slice(), old.times.slice()]
  const idLength = old.ids.length / Math.max(paths.length, 1)
  const ids: string[] = []
  let copied = 0
  for (const path of touched.toSorted(compareBytes)) {
    const entry = map.get(path)
    const row = rowOf(paths, path)
    if (entry === undefined || row === null) continue
    fill({ numbers, times }, row, entry)
    ids.push(old.ids.slice(copied, row * idLength), entry.id)
    copied = (row + 1) * idLength
  }
  ids.push(old.ids.slice(copied))
  return { paths: old.paths, numbers, times, ids: ids.join('') }
}

function rowOf(paths: readonly BytePath[], path: BytePath): number | null {
  let [low, high] = [0, paths.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    const order = compareBytes(paths[middle] ?? '', path)
    if (order === 0) return middle
    if (order < 0) low = middle + 1
    else high = middle - 1
  }
  return null
}

function fill(
  { numbers, times }: Pick<StampColumns, 'numbers' | 'times'>,
  row: number,
  entry: Stamped,
): void {
  const at = row * FIELDS
  numbers[at] = entry.mode
  numbers[at + 1] = entry.size
  numbers[at + 2] = entry.settled ? 1 : 0
  times[at] = entry.inode
  times[at + 1] = entry.mtimeNs
  times[at + 2] = entry.ctimeNs
}

export function toColumns(rows: ReadonlyMap<BytePath, Stamped>): StampColumns {
  const numbers = new Float64Array(rows.size * FIELDS)
  const times = new BigInt64Array(rows.size * FIELDS)
  let row = 0
  for (const entry of rows.values()) fill({ numbers, times }, row++, entry)
  return { paths: [...rows.keys()].join('\0'), numbers, times }
}

export function fromColumns<T>(
  columns: StampColumns,
  paths: readonly BytePath[],
  rest: (row: number) => T,
): Map<BytePath, Stamped & T> {
  const { numbers, times } = columns
  const rows = new Map<BytePath, Stamped & T>()
  for (const [row, path] of paths.entries()) {
    const at = row * FIELDS
    rows.set(path, {
      mode: numbers[at] ?? 0,
      size: numbers[at + 1] ?? 0,
      settled: numbers[at + 2] === 1,
      inode: times[at] ?? 0n,
      mtimeNs: times[at + 1] ?? 0n,
      ctimeNs: times[at + 2] ?? 0n,
      ...rest(row),
    })
  }
  return rows
}

export function split(text: string): BytePath[] {
  return text === '' ? [] : text.split('\0')
}
