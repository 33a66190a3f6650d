import type { BigIntStats } from 'node:fs'
import type { BytePath } from './byte-path.ts'
import type { CapturedEntry, FileStamp } from './file-stamp.ts'

/** The captured files and links, sorted by path. */
export interface EntryTable {
  readonly size: number
  readonly paths: () => readonly BytePath[]
  /** Whether what is there now is what was captured in this row, beyond doubt. */
  readonly isUnchanged: (row: number, stats: BigIntStats) => boolean
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

export function tableOf(map: ReadonlyMap<BytePath, CapturedEntry>): EntryTable {
  let rows: { readonly paths: BytePath[]; readonly entries: CapturedEntry[] } | null = null
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
    map: () => map,
  }
}

export function tableOfColumns(columns: EntryColumns): EntryTable {
  const { numbers, times } = columns
  const paths = split(columns.paths)
  let map: ReadonlyMap<BytePath, CapturedEntry> | null = null
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
    map() {
      const idLength = columns.ids.length / Math.max(paths.length, 1)
      map ??= fromColumns(columns, paths, (row) => ({
        id: columns.ids.slice(row * idLength, (row + 1) * idLength),
      }))
      return map
    },
  }
}

export function toEntryColumns(table: EntryTable): EntryColumns {
  const map = table.map()
  let ids = ''
  for (const entry of map.values()) ids += entry.id
  return { ...toColumns(map), ids }
}

export function toColumns(rows: ReadonlyMap<BytePath, Stamped>): StampColumns {
  const numbers = new Float64Array(rows.size * FIELDS)
  const times = new BigInt64Array(rows.size * FIELDS)
  let at = 0
  for (const row of rows.values()) {
    numbers[at] = row.mode
    numbers[at + 1] = row.size
    numbers[at + 2] = row.settled ? 1 : 0
    times[at] = row.inode
    times[at + 1] = row.mtimeNs
    times[at + 2] = row.ctimeNs
    at += FIELDS
  }
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
