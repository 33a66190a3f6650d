import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { WorkspaceError } from '../../../errors.ts'
import { threadFile } from '../../../thread-file.ts'
import { decodeFrame, decodeFrameInPool } from '../../format/frame.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import { addResult, writePieces, type FrameJob, type FrameResult } from './restore-frame.ts'
import { releaseBuffer } from '../../../store/release-buffer.ts'
import { fromFailure } from '../../thread-failure.ts'
import { borrowThread, type ThreadKind } from '../../warm-threads.ts'
import { unpackWritten, type RestoreCall, type RestoreReply, type RestoreTask } from './restore-messages.ts'

/** Decodes, checks and writes frames. */
export interface FrameWriter {
  write(job: FrameJob, stored: Uint8Array): Promise<FrameResult>
  /** How many frames it is worth to have on the way at once. */
  readonly width: number
  close(): void
}

/** More threads wait for each other in the file system. */
const MAX_THREADS = 2
const CALLS_PER_THREAD = 2
const SLICE_MS = 6

const restoreThread: ThreadKind = {
  name: 'ws-restore',
  file: threadFile(import.meta.url, 'restore-worker'),
  resourceLimits: { maxYoungGenerationSizeMb: 4 },
}

/** A frame as a whole, without a pause; takes the memory of `stored`. A damaged frame damages all its pieces. */
export function restoreFrame(job: FrameJob, stored: Uint8Array, keys: RepositoryKeys | null): FrameResult {
  let raw: Uint8Array
  try {
    raw = decodeFrame(stored, job, keys)
  } catch (error) {
    return damagedFrame(job, error)
  }
  try {
    return writePieces(job, raw, keys, 0, Number.POSITIVE_INFINITY).result
  } finally {
    // Both may be one piece of memory.
    releaseBuffer(raw)
    releaseBuffer(stored)
  }
}

/**
 * Works in this thread, in slices between which the event loop gets its turns; decodes on the thread pool. Takes the
 * memory of what is stored.
 */
export function createInlineWriter(keys: RepositoryKeys | null): FrameWriter {
  let last: Promise<unknown> = Promise.resolve()
  const write = async (job: FrameJob, stored: Uint8Array): Promise<FrameResult> => {
    const before = last
    const decoding = decodeFrameInPool(stored, job, keys)
    const run = async (): Promise<FrameResult> => {
      let raw: Uint8Array
      try {
        raw = await decoding
      } catch (error) {
        return damagedFrame(job, error)
      }
      // One after the other: slices of several frames in one turn of the event loop would add up.
      await before
      let merged: FrameResult = { damaged: [], damage: null, files: [] }
      try {
        for (let from = 0; from < job.pieces.length;) {
          const { next, result } = writePieces(job, raw, keys, from, SLICE_MS)
          merged = addResult(merged, result)
          from = next
          await setImmediate()
        }
        return merged
      } finally {
        releaseBuffer(raw)
        releaseBuffer(stored)
      }
    }
    const result = run()
    last = result.catch(() => undefined)
    return result
  }
  return { write, width: 4, close: () => undefined }
}

/**
 * Works in threads, which others may have when it is closed. Nothing may be on the way then.
 * @returns `null` where there are none
 */
export function createThreadedWriter(keys: RepositoryKeys | null): FrameWriter | null {
  if (restoreThread.file === null) return null
  const threads = Array.from({ length: Math.min(MAX_THREADS, Math.max(1, availableParallelism())) }, () =>
    openThread({ keys }),
  )
  return {
    width: threads.length * CALLS_PER_THREAD,
    async write(job, stored) {
      const idlest = threads.reduce((left, right) => (right.waiting() < left.waiting() ? right : left))
      return idlest.call(job, stored)
    },
    close() {
      for (const thread of threads) thread.close()
    },
  }
}

interface Thread {
  call(job: FrameJob, stored: Uint8Array): Promise<FrameResult>
  waiting(): number
  close(): void
}

function openThread(task: RestoreTask): Thread {
  const thread = borrowThread(restoreThread, task)
  const calls = new Map<number, PromiseWithResolvers<FrameResult>>()
  let lastCall = 0
  let lost: WorkspaceError | undefined
  thread.port.on('message', (reply: RestoreReply) => {
    const call = calls.get(reply.call)
    calls.delete(reply.call)
    if (reply.failure !== null) call?.reject(fromFailure(reply.failure))
    else {
      const damage = reply.damage === null ? null : fromFailure(reply.damage)
      if (damage !== null && !WorkspaceError.is(damage)) call?.reject(damage)
      else call?.resolve({ damaged: reply.damaged, damage, files: unpackWritten(reply.written) })
    }
  })
  void thread.gone.then((cause) => {
    lost = new WorkspaceError('INTERNAL', 'A thread that wrote files ended before its work.', { cause })
    for (const { reject } of calls.values()) reject(lost)
    calls.clear()
  })
  return {
    waiting: () => calls.size,
    call(job, stored) {
      if (lost !== undefined) return Promise.reject(lost)
      const settled = Promise.withResolvers<FrameResult>()
      lastCall += 1
      calls.set(lastCall, settled)
      // A view would be sent with all that its buffer holds.
      const isAlone = stored.byteLength === stored.buffer.byteLength
      const own = isAlone && stored.buffer instanceof ArrayBuffer ? stored.buffer : stored.slice().buffer
      const message: RestoreCall = { ...job, call: lastCall, stored: new Uint8Array(own) }
      thread.port.postMessage(message, [own])
      return settled.promise
    },
    close() {
      if (calls.size === 0) thread.giveBack()
      else void thread.stop()
    },
  }
}

function damagedFrame(job: FrameJob, error: unknown): FrameResult {
  if (!WorkspaceError.is(error, 'CORRUPT')) throw error
  return { damaged: job.pieces.map((_, number) => number), damage: error, files: [] }
}
