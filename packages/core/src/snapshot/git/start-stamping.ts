import { pathResolver, type BytePath } from '../byte-path.ts'
import { stampedRow } from './entry-table.ts'
import type { FileStamp } from './file-stamp.ts'
import type { Pause } from './pause.ts'
import { sharedNumbers, sharePaths } from './shared-columns.ts'
import { shareRows } from './shared-rows.ts'
import { rowFinder } from './sorted-paths.ts'
import { spreadRows, type SpreadOptions } from './spread-rows.ts'
import { STAMPED, stampRow } from './stamped-rows.ts'

/** Stamps of files that are being taken. */
export interface Stamping {
  /** @returns the stamp of a file; `null` when it is not there or not to be looked at, `undefined` when nobody looked */
  readonly stamps: (pause: Pause) => Promise<(path: BytePath) => FileStamp | null | undefined>
  /** Lets nobody look at more of them. */
  readonly stop: () => void
}

/** @param paths sorted, of files that are likely to be there */
export function startStamping(
  root: string,
  paths: readonly BytePath[],
  options: SpreadOptions = {},
): Stamping {
  const rows = shareRows(root, paths.length)
  const resolve = pathResolver(root)
  const columns = sharedNumbers(paths.length)
  const { finish, stop } = spreadRows(
    rows,
    () => ({ ...rows, kind: 'stamp', columns: { ...sharePaths(paths), ...columns } }),
    (row) => stampRow(resolve(paths[row] ?? ''), columns, row),
    options,
  )
  return {
    async stamps(pause) {
      await finish(pause)
      const find = rowFinder(paths)
      return (path) => {
        const row = find(path)
        if (row === null) return undefined
        if (rows.verdicts[row] !== STAMPED) return null
        const { settled: _, ...stamp } = stampedRow(columns, row)
        return stamp
      }
    },
    stop,
  }
}
