import { availableParallelism } from 'node:os'
import { borrowThread, type ThreadKind } from '../../../bundle/warm-threads.ts'
import { lookingThreads, type LookTask } from './looking-threads.ts'
import type { Pause } from '../table/pause.ts'
import { rowsWith, takeAll, takePieces, UNKNOWN, type SharedRows } from '../table/shared-rows.ts'
import type { StartedWalk } from './start-walk.ts'

export interface SpreadOptions {
  /** From how many files on threads help. @default 8192: below, the start of one takes longer than it saves */
  readonly filesForThreads?: number | undefined
  /** The file that threads run. */
  readonly worker?: URL | null | undefined
  /** A thread that has something else to do before. */
  readonly walk?: Pick<StartedWalk, 'thenLook'> | null | undefined
}

/** Work on rows that has begun. */
export interface SpreadRows {
  /** Takes a share of them until it is told to stop, or none is left to take. */
  readonly help: (pause: Pause, isEnough: () => boolean) => Promise<void>
  /** Resolves when there is a verdict on each. */
  readonly finish: (pause: Pause) => Promise<void>
  /** Lets nobody take more of them. */
  readonly stop: () => void
}

/** More threads wait for each other in the file system. */
const MAX_THREADS = 3
const FILES_FOR_THREADS = 8192

/**
 * Lets threads look at files while this one has other things to do, where there are many. Then this one takes its share,
 * waits for none that has not started, and looks itself at what one that died has left.
 * @param visit looks at one here. @returns the verdict
 */
export function spreadRows(
  rows: SharedRows,
  task: () => LookTask,
  visit: (row: number) => number,
  { filesForThreads = FILES_FOR_THREADS, worker = lookingThreads.file, walk = null }: SpreadOptions,
): SpreadRows {
  const { verdicts } = rows
  const isLarge = verdicts.length >= filesForThreads
  const helpers = isLarge ? startHelpers({ ...lookingThreads, file: worker }, task(), walk) : []
  const help: SpreadRows['help'] = async (pause, isEnough) => {
    for (const { from, to } of takePieces(rows)) {
      for (let row = from; row < to; row += 1) {
        verdicts[row] = visit(row)
        const pausing = pause()
        if (pausing !== undefined) await pausing
      }
      if (isEnough()) return
    }
  }
  return {
    help,
    async finish(pause) {
      try {
        await help(pause, () => false)
        if (verdicts.includes(UNKNOWN)) await Promise.all(helpers)
      } finally {
        takeAll(rows)
      }
      for (const row of rowsWith(rows, UNKNOWN)) verdicts[row] = visit(row)
    },
    stop: () => takeAll(rows),
  }
}

/** Each resolves when a thread takes no more rows, whatever the reason. */
function startHelpers(kind: ThreadKind, task: LookTask, walk: SpreadOptions['walk']): Promise<void>[] {
  const count = Math.min(MAX_THREADS, availableParallelism() - 1)
  const helpers = walk ? [walk.thenLook(task)] : []
  try {
    while (helpers.length < count) helpers.push(startHelper(kind, task))
  } catch {
    // Where no threads are allowed, all is done here.
  }
  return helpers
}

function startHelper(kind: ThreadKind, task: LookTask): Promise<void> {
  const thread = borrowThread(kind, task)
  return new Promise<void>((resolve) => {
    thread.port.once('message', () => {
      thread.giveBack()
      resolve()
    })
    void thread.gone.then(() => resolve())
  })
}
