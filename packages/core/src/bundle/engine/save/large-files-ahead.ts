import type { Buffer } from 'node:buffer'
import { bufferOf, type ChunkerMemory } from '../../format/chunker.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { Run } from '../../format/tree-runs.ts'
import type { ReadingThread } from './reading-thread.ts'
import type { ReadingAnswer, ReadingRequest } from './reading-messages.ts'

/** Has large files read in another thread. */
export interface LargeFilesAhead {
  /** Reads and cuts a stretch of a file; the next block is made while one is used. */
  cut(fd: number, start: number, end: number): AsyncGenerator<CutChunks, void, void>
  /** Checks part of the old cuts of a file while the others are checked here. */
  followCuts(fd: number, oldRuns: readonly Run[], isHeld: (id: ContentId) => boolean): CutsAhead
}

interface CutChunks {
  readonly position: number
  /** Overwritten when the next but one block is asked for. */
  readonly content: Buffer
  readonly ids: readonly ContentId[]
  readonly ends: readonly number[]
}

export interface CutsAhead {
  /** True when the content at `position` is the old run's and is held; false when that is to be found out. */
  isThere(index: number, position: number): Promise<boolean>
  /** To be awaited before the file is closed. */
  settle(): Promise<void>
}

/** Where another thread is worth it: it takes some hundred microseconds to be asked, some fifty milliseconds to start. */
export const WORTH_THREAD_BYTES = 16 * 1024 * 1024
/** As much is checked here before the other thread's part is needed, which is as long. */
const TURN_BYTES = 16 * 1024 * 1024

/** @param memories used in turn; nobody else may use them while a file is cut */
export function readLargeFilesAhead(
  thread: ReadingThread,
  keys: RepositoryKeys | null,
  memories: readonly [ChunkerMemory, ChunkerMemory],
): LargeFilesAhead {
  const ask = (request: ReadingRequest): Promise<ReadingAnswer | null> =>
    new Promise((resolve) => thread.send(request, resolve))

  return {
    async *cut(fd, start, end) {
      let blocks = 0
      const askFor = (position: number): Promise<CutChunks | null> | null => {
        if (position >= end) return null
        const memory = memories[blocks % 2 === 0 ? 0 : 1]
        blocks += 1
        const content = bufferOf(memory)
        return ask({ kind: 'cut', fd, position, bytesLeft: end - position, memory, keys }).then((answer) =>
          answer === null ? null : { position, content, ends: answer.ends, ids: answer.ids },
        )
      }
      let next = askFor(start)
      try {
        while (next !== null) {
          const block = await next
          const last = block?.ends.at(-1)
          if (block === null || last === undefined) return
          next = askFor(block.position + last)
          yield block
        }
      } finally {
        await next
      }
    },
    followCuts(fd, oldRuns, isHeld) {
      const starts = [0]
      for (const { length } of oldRuns) starts.push((starts.at(-1) ?? 0) + length)
      const startOf = (index: number): number => starts[index] ?? 0
      let turn: Turn | null = null

      function takeTurn(from: number, shift: number): Turn {
        // The last old cut was made by the file's end.
        const limit = startOf(oldRuns.length - 1)
        const bytes = Math.min(TURN_BYTES, (limit - startOf(from)) / 2)
        const first = runsFrom(oldRuns, from, bytes)
        const end = Math.min(runsFrom(oldRuns, first, bytes), oldRuns.length - 1)
        const lengths = oldRuns.slice(first, end).map(({ length }) => length)
        if (lengths.length === 0) return { shift, from, first, end: first, ids: Promise.resolve([]) }
        const ids = ask({ kind: 'identify', fd, position: startOf(first) + shift, lengths, keys })
        return { shift, from, first, end, ids: ids.then((answer) => answer?.ids ?? []) }
      }
      return {
        async isThere(index, position) {
          const shift = position - startOf(index)
          const isIn = turn !== null && turn.shift === shift && index >= turn.from && index < turn.end
          const { first, ids } = (turn = isIn && turn !== null ? turn : takeTurn(index, shift))
          const old = oldRuns[index]
          if (index < first || old === undefined || !isHeld(old.id)) return false
          return (await ids)[index - first] === old.id
        },
        async settle() {
          // Requests are answered in turn.
          await turn?.ids
        },
      }
    },
  }
}

/** The runs `from` to `first` are checked here, those from there to `end` in the other thread. */
interface Turn {
  /** How much further than of old the content lies. */
  readonly shift: number
  readonly from: number
  readonly first: number
  readonly end: number
  readonly ids: Promise<readonly ContentId[]>
}

/** The index after as many runs as have that many bytes; before a hole, if there is one. */
function runsFrom(runs: readonly Run[], from: number, bytes: number): number {
  let taken = 0
  let index = from
  for (; index < runs.length && taken < bytes; index += 1) {
    const run = runs[index]
    if (run?.kind !== 'chunk') break
    taken += run.length
  }
  return index
}
