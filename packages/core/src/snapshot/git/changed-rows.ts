import { tableOfColumns, type EntryTable, type StampColumns } from './entry-table.ts'
import { lstatIfAllowed } from './file-stamp.ts'
import { pathResolver } from '../byte-path.ts'

/** Captured files to look at, shared by all threads that do. */
export interface SharedRows {
  /** Real path of the workspace. */
  readonly root: string
  /** How many pieces of the rows somebody has taken. */
  readonly taken: Int32Array
  /** For each row one of the verdicts below. */
  readonly verdicts: Uint8Array
}

/** What another thread needs besides. */
export interface RowsToCompare extends SharedRows {
  readonly columns: StampColumns
}

export const UNKNOWN = 0
export const UNCHANGED = 1
export const CHANGED = 2

const ROWS_PER_PIECE = 256

/** Takes one piece after the other until none is left; yields after each row. */
export function* comparePieces(
  { root, taken, verdicts }: SharedRows,
  entries: EntryTable,
): Generator<void, void> {
  const resolve = pathResolver(root)
  const paths = entries.paths()
  for (;;) {
    const from = Atomics.add(taken, 0, 1) * ROWS_PER_PIECE
    if (from >= verdicts.length) return
    const to = Math.min(from + ROWS_PER_PIECE, verdicts.length)
    for (let row = from; row < to; row += 1) {
      verdicts[row] = compareRow(resolve, entries, paths, row)
      yield
    }
  }
}

/** Leaves no more pieces for anybody. */
export function takeAll({ taken, verdicts }: SharedRows): void {
  Atomics.store(taken, 0, verdicts.length)
}

export function compareRow(
  resolve: ReturnType<typeof pathResolver>,
  entries: EntryTable,
  paths: readonly string[],
  row: number,
): number {
  const stats = lstatIfAllowed(resolve(paths[row] ?? ''))
  return stats !== null && stats !== 'denied' && entries.isUnchanged(row, stats) ? UNCHANGED : CHANGED
}

/** In a thread. What it cannot find out it leaves unknown. */
export function compareInThread(rows: RowsToCompare): void {
  const entries = tableOfColumns({ ...rows.columns, ids: '' })
  const pieces = comparePieces(rows, entries)
  while (pieces.next().done !== true);
}
