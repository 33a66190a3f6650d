import { pathResolver } from '../../byte-path.ts'
import { stampedRow } from '../table/entry-table.ts'
import type { FileStamp } from '../table/file-stamp.ts'
import type { Pause } from '../table/pause.ts'
import { sharedNumbers, type StampNumbers } from '../table/shared-columns.ts'
import { shareRows } from '../table/shared-rows.ts'
import { spreadRows, type SpreadOptions } from './spread-rows.ts'
import { ABSENT, stampRow, UNTOUCHED } from '../table/stamped-rows.ts'
import type { UserIndex } from '../user/user-index.ts'

/** The files that an index names, as they are being looked at. */
export interface Stamping {
  /** Looks at some of them here, as long as others have to be waited for. */
  readonly help: (pause: Pause, isEnough: () => boolean) => Promise<void>
  readonly finish: (pause: Pause) => Promise<IndexStamps>
  /** Lets nobody look at more of them. */
  readonly stop: () => void
}

/** What was seen of each. */
export interface IndexStamps {
  /** Of an untouched file all that a captured entry needs but its id. */
  readonly columns: StampNumbers
  /** Whether it is the file that the index was written for, and cannot have changed since. */
  readonly isUntouched: (row: number) => boolean
  /** `null` when it is not there or not to be looked at. */
  readonly stampAt: (row: number) => FileStamp | null
}

export function startStamping(
  root: string,
  { rows: inIndex, paths }: Pick<UserIndex, 'rows' | 'paths'>,
  options: SpreadOptions = {},
): Stamping {
  const rows = shareRows(root, paths.length)
  const resolve = pathResolver(root, inIndex.text)
  const columns = { ...inIndex, ...sharedNumbers(paths.length) }
  const { help, finish, stop } = spreadRows(
    rows,
    () => ({ ...rows, kind: 'stamp', columns: { ...columns, bytes: share(inIndex.bytes) } }),
    (row) => stampRow(resolve(paths[row] ?? ''), columns, row),
    options,
  )
  return {
    help,
    async finish(pause) {
      await finish(pause)
      return {
        columns: { numbers: columns.numbers, times: columns.times },
        isUntouched: (row) => rows.verdicts[row] === UNTOUCHED,
        stampAt(row) {
          if (rows.verdicts[row] === ABSENT) return null
          const { settled: _, ...stamp } = stampedRow(columns, row)
          return stamp
        },
      }
    },
    stop,
  }
}

function share(bytes: Uint8Array): Uint8Array {
  if (bytes.buffer instanceof SharedArrayBuffer) return bytes
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
  shared.set(bytes)
  return shared
}
