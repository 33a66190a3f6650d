import { pathResolver } from '../byte-path.ts'
import { isUnchangedRow } from './entry-table.ts'
import { lstatIfAllowed } from './file-stamp.ts'
import { sharedPathsOf, type SharedColumns, type StampNumbers } from './shared-columns.ts'
import { takePieces, type SharedRows } from './shared-rows.ts'

/** Captured files to compare with what is there now. */
export interface RowsToCompare extends SharedRows {
  readonly kind: 'compare'
  readonly columns: SharedColumns
}

export const UNCHANGED = 1
export const CHANGED = 2

export function compareRow(file: string | Buffer, columns: StampNumbers, row: number): number {
  const stats = lstatIfAllowed(file)
  return stats !== null && stats !== 'denied' && isUnchangedRow(columns, row, stats) ? UNCHANGED : CHANGED
}

/** In a thread. What it cannot find out it leaves unknown. */
export function compareInThread(rows: RowsToCompare): void {
  const { root, verdicts, columns } = rows
  const resolve = pathResolver(root)
  for (const { from, to } of takePieces(rows)) {
    for (const [at, path] of sharedPathsOf(columns, from, to).entries())
      verdicts[from + at] = compareRow(resolve(path), columns, from + at)
  }
}
