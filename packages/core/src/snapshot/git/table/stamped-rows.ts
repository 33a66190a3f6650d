import { fillRow } from './entry-table.ts'
import { lstatIfAllowed, stampOf } from './file-stamp.ts'
import { indexStampAt, isUntouched, type IndexRows } from './index-rows.ts'
import type { SharedPaths, StampNumbers } from './shared-columns.ts'
import type { SharedRows } from './shared-rows.ts'

/** Files of an index whose stamps are to be had; they go into the columns. */
export interface RowsToStamp extends SharedRows {
  readonly kind: 'stamp'
  readonly columns: IndexRows & StampNumbers & SharedPaths
}

const STAMPED = 1
/** Or not to be looked at. */
export const ABSENT = 2
/** It is the file that the index was written for, and cannot have changed since. */
export const UNTOUCHED = 3

export function stampRow(file: string | Buffer, columns: RowsToStamp['columns'], row: number): number {
  const stats = lstatIfAllowed(file)
  if (stats === null || stats === 'denied') return ABSENT
  const stamp = stampOf(stats)
  const settled = isUntouched(indexStampAt(columns, row), stamp)
  fillRow(columns, row, { ...stamp, settled })
  return settled ? UNTOUCHED : STAMPED
}
