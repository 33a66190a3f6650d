import { isUnchangedRow } from './entry-table.ts'
import { lstatIfAllowed } from './file-stamp.ts'
import type { SharedColumns, StampNumbers } from './shared-columns.ts'
import type { SharedRows } from './shared-rows.ts'

/** Captured files to compare with what is there now. */
export interface RowsToCompare extends SharedRows {
  readonly kind: 'compare'
  readonly columns: SharedColumns
}

const UNCHANGED = 1
export const CHANGED = 2

export function compareRow(file: string | Buffer, columns: StampNumbers, row: number): number {
  const stats = lstatIfAllowed(file)
  return stats !== null && stats !== 'denied' && isUnchangedRow(columns, row, stats) ? UNCHANGED : CHANGED
}
