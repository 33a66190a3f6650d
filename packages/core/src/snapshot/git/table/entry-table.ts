import type { BigIntStats } from 'node:fs'
import { compareBytes, type BytePath } from '../../byte-path.ts'
import { FIELDS, sharedNumbers, shareNumbers, sharePaths } from './shared-columns.ts'
import type { SharedColumns, SharedPaths, StampNumbers } from './shared-columns.ts'
import { firstRowFrom, rowFinder } from './sorted-paths.ts'
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
  readonly sharedPaths: () => SharedPaths
}

/** One typed array for each field: handling objects one by one would take longer than the rest of a capture. */
export interface StampColumns extends StampNumbers {
  readonly paths: string
}

export interface EntryColumns extends StampColumns {
  /** In bytes, one after the other. */
  readonly ids: Uint8Array
}

type Stamped = FileStamp & { readonly settled: boolean }

/** What was captured before, and the only paths that may have changed, come or gone since. */
export interface EarlierTable {
  readonly table: EntryTable
  readonly touched: readonly BytePath[]
}

export function tableOf(entries: CapturedEntries, earlier: EarlierTable | null): EntryTable {
  if (earlier !== null && earlier.table.size > 0) {
    const { table, touched } = earlier
    if (touched.length === 0) return table
    const columns = copyWith(earlier, entries)
    if (hasSamePaths(earlier, entries))
      return tableOver({ ...columns, paths: table.columns().paths }, table.paths(), table.sharedPaths)
    const paths = pathsWith(earlier, entries)
    return tableOver({ ...columns, paths: paths.join('\0') }, paths)
  }
  const inOrder = new Map([...entries].toSorted(([left], [right]) => compareBytes(left, right)))
  return tableOver({ ...toColumns(inOrder), ids: idsOf(inOrder) }, [...inOrder.keys()])
}

export function hasSamePaths({ table, touched }: EarlierTable, entries: CapturedEntries): boolean {
  return table.size === entries.size && touched.every((path) => entries.has(path) === table.has(path))
}

export function tableOfColumns(columns: EntryColumns): EntryTable {
  return tableOver(columns, split(columns.paths))
}

/** @param sharedPaths of a table of the same paths */
export function tableOver(
  columns: EntryColumns,
  paths: readonly BytePath[],
  sharedPaths: () => SharedPaths = lazily(() => sharePaths(paths, columns.paths)),
): EntryTable {
  const ids = Buffer.from(columns.ids.buffer, columns.ids.byteOffset, columns.ids.length)
  const idBytes = ids.length / Math.max(paths.length, 1)
  const find = rowFinder(paths)
  const at = (row: number): CapturedEntry => ({
    ...stampedRow(columns, row),
    id: ids.toString('hex', row * idBytes, (row + 1) * idBytes),
  })
  return {
    size: paths.length,
    paths: () => paths,
    columns: () => columns,
    shared: lazily(() => ({ ...sharedPaths(), ...shareNumbers(columns, paths.length) })),
    sharedPaths,
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

function idsOf(entries: CapturedEntries): Uint8Array {
  let ids: Buffer | null = null
  let at = 0
  for (const [, { id }] of entries) {
    ids ??= Buffer.alloc((entries.size * id.length) / 2)
    at += ids.write(id, at, 'hex')
  }
  return new Uint8Array(ids?.buffer ?? new ArrayBuffer(0), ids?.byteOffset, at)
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}

/** Making all columns anew would take as long as looking at a part of the files. */
function copyWith(earlier: EarlierTable, entries: CapturedEntries): Omit<EntryColumns, 'paths'> {
  const old = earlier.table.columns()
  const idBytes = old.ids.length / earlier.table.size
  // In memory that threads share, so that nobody has to copy it there for them.
  const { numbers, times } = sharedNumbers(entries.size)
  const ids = new Uint8Array(entries.size * idBytes)
  const text = Buffer.from(ids.buffer)
  let to = 0
  for (const { from, end, path } of partsOf(earlier)) {
    numbers.set(old.numbers.subarray(from * FIELDS, end * FIELDS), to * FIELDS)
    times.set(old.times.subarray(from * FIELDS, end * FIELDS), to * FIELDS)
    ids.set(old.ids.subarray(from * idBytes, end * idBytes), to * idBytes)
    to += end - from
    const entry = path === null ? undefined : entries.get(path)
    if (entry === undefined) continue
    fillRow({ numbers, times }, to, entry)
    text.write(entry.id, to * idBytes, 'hex')
    to += 1
  }
  return { numbers, times, ids }
}

function pathsWith(earlier: EarlierTable, entries: CapturedEntries): BytePath[] {
  const old = earlier.table.paths()
  const paths: BytePath[] = []
  for (const { from, end, path } of partsOf(earlier)) {
    for (let row = from; row < end; row += 1) paths.push(old[row] ?? '')
    if (path !== null && entries.has(path)) paths.push(path)
  }
  return paths
}

/** Rows that are as they were, and after each of those parts the path that may not be, in order. */
function* partsOf({ table, touched }: EarlierTable) {
  const paths = table.paths()
  let from = 0
  for (const path of [...new Set(touched)].toSorted(compareBytes)) {
    const end = firstRowFrom(paths, path)
    yield { from, end, path }
    from = paths[end] === path ? end + 1 : end
  }
  yield { from, end: paths.length, path: null }
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
