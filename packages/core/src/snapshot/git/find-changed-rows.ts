import { availableParallelism } from 'node:os'
import { borrowThread, type ThreadKind } from '../../bundle/warm-threads.ts'
import { pathResolver } from '../byte-path.ts'
import {
  CHANGED,
  compareRow,
  comparePieces,
  takeAll,
  UNKNOWN,
  type RowsToCompare,
  type SharedRows,
} from './changed-rows.ts'
import type { EntryTable } from './entry-table.ts'
import type { Pause } from './pause.ts'

export interface ChangedRowsOptions {
  /** From how many files on threads help. @default 8192: below, the start of one takes longer than it saves */
  readonly filesForThreads?: number
  /** The file that threads run. */
  readonly worker?: URL
}

/** More threads wait for each other in the file system. */
const MAX_THREADS = 3
const FILES_FOR_THREADS = 8192

const file = import.meta.url.endsWith('.ts') ? './stat-worker.ts' : './stat-worker.js'

/**
 * The hot loop of a capture where little has changed: looks at every captured file. @returns the rows of those that are
 * not, beyond doubt, what was captured, in order
 *
 * In a large workspace other threads take a share. This one waits for none that has not started, and looks itself at
 * what one that died has left.
 */
export async function findChangedRows(
  root: string,
  entries: EntryTable,
  pause: Pause,
  { filesForThreads = FILES_FOR_THREADS, worker = new URL(file, import.meta.url) }: ChangedRowsOptions = {},
): Promise<number[]> {
  const isLarge = entries.size >= filesForThreads
  const verdicts = new Uint8Array(new SharedArrayBuffer(entries.size))
  const taken = new Int32Array(new SharedArrayBuffer(4))
  const shared: SharedRows = { root, taken, verdicts }
  const helpers: Helper[] = []
  if (isLarge) {
    const { paths, numbers, times } = entries.columns()
    helpers.push(
      ...startHelpers({ name: 'ws-stat', file: worker }, { ...shared, columns: { paths, numbers, times } }),
    )
  }
  try {
    const pieces = comparePieces(shared, entries)
    while (pieces.next().done !== true) {
      const pausing = pause()
      if (pausing !== undefined) await pausing
    }
    if (verdicts.includes(UNKNOWN)) await Promise.all(helpers.map(({ over }) => over))
  } finally {
    takeAll(shared)
  }
  const resolve = pathResolver(root)
  const changed: number[] = []
  for (const [row, verdict] of verdicts.entries()) {
    const known = verdict === UNKNOWN ? compareRow(resolve, entries, entries.paths(), row) : verdict
    if (known === CHANGED) changed.push(row)
  }
  return changed
}

interface Helper {
  /** Resolves when it takes no more rows, whatever the reason. */
  readonly over: Promise<void>
}

function startHelpers(kind: ThreadKind, rows: RowsToCompare): Helper[] {
  const count = Math.min(MAX_THREADS, availableParallelism() - 1)
  try {
    return Array.from({ length: count }, () => startHelper(kind, rows))
  } catch {
    // Where no threads are allowed, all is done here.
    return []
  }
}

function startHelper(kind: ThreadKind, rows: RowsToCompare): Helper {
  const thread = borrowThread(kind, rows)
  const over = new Promise<void>((resolve) => {
    thread.port.once('message', () => {
      thread.giveBack()
      resolve()
    })
    void thread.gone.then(() => resolve())
  })
  return { over }
}
