import { pathResolver } from '../byte-path.ts'
import { fillRow } from './entry-table.ts'
import { lstatIfAllowed, stampOf } from './file-stamp.ts'
import { sharedPathsOf, type SharedColumns, type StampNumbers } from './shared-columns.ts'
import { takePieces, type SharedRows } from './shared-rows.ts'

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

/** In a thread. What it cannot find out it leaves unknown. */
export function stampInThread(rows: RowsToStamp): void {
  const { root, verdicts, columns } = rows
  const resolve = pathResolver(root)
  for (const { from, to } of takePieces(rows)) {
    for (const [at, path] of sharedPathsOf(columns, from, to).entries())
      verdicts[from + at] = stampRow(resolve(path), columns, from + at)
  }
}
