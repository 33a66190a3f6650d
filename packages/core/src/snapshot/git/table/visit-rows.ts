import { pathResolver } from '../../byte-path.ts'
import { compareRow, type RowsToCompare } from './changed-rows.ts'
import { sharedPathsOf } from './shared-columns.ts'
import { takePieces } from './shared-rows.ts'
import { stampRow, type RowsToStamp } from './stamped-rows.ts'

/** In a thread: looks at one piece of the files after the other. What it cannot find out it leaves unknown. */
export function visitRows(task: RowsToCompare | RowsToStamp): void {
  const { root, verdicts, columns } = task
  const resolve = pathResolver(root, columns.text)
  const visit = (path: string, row: number): number =>
    task.kind === 'compare'
      ? compareRow(resolve(path), task.columns, row)
      : stampRow(resolve(path), task.columns, row)
  for (const { from, to } of takePieces(task)) {
    for (const [at, path] of sharedPathsOf(columns, from, to).entries())
      verdicts[from + at] = visit(path, from + at)
  }
}
