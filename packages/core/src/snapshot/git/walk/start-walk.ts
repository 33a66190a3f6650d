import { statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { borrowThread } from '../../../bundle/warm-threads.ts'
import type { BytePath } from '../../byte-path.ts'
import { fromDirectoryColumns } from '../table/directory-columns.ts'
import { split } from '../table/entry-table.ts'
import { lookingThreads, type LookTask } from './looking-threads.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import { textOfPaths, type SharedPaths } from '../table/shared-columns.ts'
import { stopWalk, takeWalk, type WalkAnswer, type WalkColumns, type WalkTask } from './walk-task.ts'
import type { ListingSource, Walk } from './walk-workspace.ts'

/** Of an index. */
interface KnownPaths {
  readonly paths: readonly BytePath[]
  readonly rows: SharedPaths
}

/** A walk that a thread has been asked for. */
export interface StartedWalk {
  /** Whether the thread is at it. If it is not, it leaves it to the caller from now on. */
  readonly isTaken: () => boolean
  readonly isDone: () => boolean
  /**
   * @param known paths that may be those of the files: whoever compares the two lists sees at once that they are one
   * @returns `null` when the thread could not
   */
  readonly finish: (known: KnownPaths | null) => Promise<Walk | null>
  /** What the thread is to do next. Resolves when it has done that, or is gone. */
  readonly thenLook: (task: LookTask) => Promise<void>
  /** To be called when nothing more is to be done; whoever waits for the walk gets `null`. */
  readonly stop: () => void
}

export interface StartWalkOptions {
  /** From which size of an index on a thread walks. @default 600 KiB, some 8,000 files: below, its start takes longer */
  readonly indexBytesForThreads?: number | undefined
}

/** Lets a thread walk through the workspace while this one reads the index. @returns `null` where that saves nothing */
export function startWalk(
  { path, user, precious }: Pick<ListingSource, 'path' | 'user' | 'precious'>,
  { indexBytesForThreads = 600 << 10 }: StartWalkOptions = {},
): StartedWalk | null {
  if (availableParallelism() < 2 || sizeOf(user) < indexBytesForThreads) return null
  const taken = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const task: WalkTask = { kind: 'walk', path, user, precious: precious.patterns, taken }
  let thread: ReturnType<typeof borrowThread>
  try {
    thread = borrowThread(lookingThreads, task)
  } catch {
    // Where no threads are allowed, all is done here.
    return null
  }
  const walked = Promise.withResolvers<WalkColumns | null>()
  const looked = Promise.withResolvers<void>()
  let state: 'walks' | 'walked' | 'looks' | 'free' = 'walks'
  let isDone = false
  let isStopped = false
  const giveBack = () => {
    state = 'free'
    thread.giveBack()
  }
  thread.port.on('message', (answer: WalkAnswer | null) => {
    if (answer === null) {
      looked.resolve()
      giveBack()
      return
    }
    isDone = true
    walked.resolve(answer.walk)
    if (state === 'walks') state = 'walked'
    if (isStopped && state === 'walked') giveBack()
  })
  void thread.gone.then(() => {
    isDone = true
    walked.resolve(null)
    looked.resolve()
  })
  return {
    isTaken: () => !takeWalk(taken),
    isDone: () => isDone,
    async finish(known) {
      const columns = await walked.promise
      return columns && walkOf(columns, known)
    },
    thenLook(look) {
      state = 'looks'
      thread.port.postMessage(look)
      return looked.promise
    },
    stop() {
      isStopped = true
      stopWalk(taken)
      walked.resolve(null)
      if (state === 'walked') giveBack()
    },
  }
}

function walkOf({ directories, unreadableDirectories, files }: WalkColumns, known: KnownPaths | null): Walk {
  return {
    directories: fromDirectoryColumns(directories),
    unreadableDirectories,
    files: () => (known !== null && files === textOfPaths(known.rows) ? known.paths : split(files)),
  }
}

function sizeOf({ indexFile }: UserRepository): number {
  try {
    return statSync(indexFile).size
  } catch {
    return 0
  }
}
