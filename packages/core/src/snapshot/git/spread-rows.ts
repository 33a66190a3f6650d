import { availableParallelism } from 'node:os'
import { borrowThread, type ThreadKind } from '../../bundle/warm-threads.ts'
import type { RowsToCompare } from './changed-rows.ts'
import type { Pause } from './pause.ts'
import { rowsWith, takeAll, takePieces, UNKNOWN, type SharedRows } from './shared-rows.ts'
import type { RowsToStamp } from './stamped-rows.ts'

export interface SpreadOptions {
  /** From how many files on threads help. @default 8192: below, the start of one takes longer than it saves */
  readonly filesForThreads?: number | undefined
  /** The file that threads run. */
  readonly worker?: URL | undefined
}

/** Work on rows that has begun. */
export interface SpreadRows {
  /** Resolves when there is a verdict on each. */
  readonly finish: (pause: Pause) => Promise<void>
  /** Lets nobody take more of them. */
  readonly stop: () => void
}

/** More threads wait for each other in the file system. */
const MAX_THREADS = 3
const FILES_FOR_THREADS = 8192

const file = import.meta.url.endsWith('.ts') ? './stat-worker.ts' : './stat-worker.js'

/**
 * Lets threads look at files while this one has other things to do, where there are many. Then this one takes its share,
 * waits for none that has not started, and looks itself at what one that died has left.
 * @param visit looks at one here. @returns the verdict
 */
export function spreadRows(
  rows: SharedRows,
  task: () => RowsToCompare | RowsToStamp,
  visit: (row: number) => number,
  { filesForThreads = FILES_FOR_THREADS, worker = new URL(file, import.meta.url) }: SpreadOptions,
): SpreadRows {
  const { verdicts } = rows
  const isLarge = verdicts.length >= filesForThreads
  const helpers = isLarge ? startHelpers({ name: 'ws-stat', file: worker }, task()) : []
  return {
    async finish(pause) {
      try {
        for (const { from, to } of takePieces(rows)) {
          for (let row = from; row < to; row += 1) {
            verdicts[row] = visit(row)
            const pausing = pause()
            if (pausing !== undefined) await pausing
          }
        }
        if (verdicts.includes(UNKNOWN)) await Promise.all(helpers.map(({ over }) => over))
      } finally {
        takeAll(rows)
      }
      for (const row of rowsWith(rows, UNKNOWN)) verdicts[row] = visit(row)
    },
    stop: () => takeAll(rows),
  }
}

interface Helper {
  /** Resolves when it takes no more rows, whatever the reason. */
  readonly over: Promise<void>
}

function startHelpers(kind: ThreadKind, task: RowsToCompare | RowsToStamp): Helper[] {
  const count = Math.min(MAX_THREADS, availableParallelism() - 1)
  try {
    return Array.from({ length: count }, () => startHelper(kind, task))
  } catch {
    // Where no threads are allowed, all is done here.
    return []
  }
}

function startHelper(kind: ThreadKind, task: RowsToCompare | RowsToStamp): Helper {
  const thread = borrowThread(kind, task)
  const over = new Promise<void>((resolve) => {
    thread.port.once('message', () => {
      thread.giveBack()
      resolve()
    })
    void thread.gone.then(() => resolve())
  })
  return { over }
}
