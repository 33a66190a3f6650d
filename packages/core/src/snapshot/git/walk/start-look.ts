import { pathResolver } from '../../byte-path.ts'
import { CHANGED, compareRow } from '../table/changed-rows.ts'
import type { EntryTable } from '../table/entry-table.ts'
import type { Pause } from '../table/pause.ts'
import { rowsWith, shareRows } from '../table/shared-rows.ts'
import { spreadRows, type SpreadOptions } from './spread-rows.ts'

/** A look at every captured file that has begun. */
export interface Look {
  /** The rows of those that are not, beyond doubt, what was captured, in order. */
  readonly changedRows: (pause: Pause) => Promise<number[]>
  /** Lets nobody look at more of them. */
  readonly stop: () => void
}

/** The hot loop of a capture where little has changed. */
export function startLook(root: string, entries: EntryTable, options: SpreadOptions = {}): Look {
  const rows = shareRows(root, entries.size)
  const resolve = pathResolver(root, entries.sharedPaths().text)
  const paths = entries.paths()
  const columns = entries.columns()
  const { finish, stop } = spreadRows(
    rows,
    () => ({ ...rows, kind: 'compare', columns: entries.shared() }),
    (row) => compareRow(resolve(paths[row] ?? ''), columns, row),
    options,
  )
  return {
    async changedRows(pause) {
      await finish(pause)
      return [...rowsWith(rows, CHANGED)]
    },
    stop,
  }
}
