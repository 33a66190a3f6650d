import { pathResolver } from '../byte-path.ts'
import { compareRow, type RowsToCompare } from './changed-rows.ts'
import { sharedPathsOf } from './shared-columns.ts'
import { takePieces } from './shared-rows.ts'
import { stampRow, type RowsToStamp } from './stamped-rows.ts'

/** In a thread: looks at one piece of the files after the other. What it cannot find out it leaves unknown. */
export function visitRows(rows: RowsToCompare | RowsToStamp): void {
  const { kind, root, verdicts, columns } = rows
  const visit = kind === 'compare' ? compareRow : stampRow
  const resolve = pathResolver(root)
  for (const { from, to } of takePieces(rows)) {
    for (const [at, path] of sharedPathsOf(columns, from, to).entries())
      verdicts[from + at] = visit(resolve(path), columns, from + at)
  }
}
