import { fillRow } from './entry-table.ts'
import { lstatIfAllowed, stampOf } from './file-stamp.ts'
import type { SharedColumns, StampNumbers } from './shared-columns.ts'
import type { SharedRows } from './shared-rows.ts'

/** Files whose stamps are to be had; they go into the columns. */
export interface RowsToStamp extends SharedRows {
  readonly kind: 'stamp'
  readonly columns: SharedColumns
}

export const STAMPED = 1
/** Or not to be looked at. */
export const ABSENT = 2

export function stampRow(file: string | Buffer, columns: StampNumbers, row: number): number {
  const stats = lstatIfAllowed(file)
  if (stats === null || stats === 'denied') return ABSENT
  fillRow(columns, row, { ...stampOf(stats), settled: false })
  return STAMPED
}
