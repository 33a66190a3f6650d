import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { WorkspaceError } from '../../errors.ts'
import { decodeFrame, decodeFrameInPool } from '../format/frame.ts'
import type { RepositoryKeys } from '../format/repository-keys.ts'
import { writePieces, type FrameJob, type FrameResult } from './restore-frame.ts'
import { fromFailure } from '../thread-failure.ts'
import type { RestoreCall, RestoreReply, RestoreWorkerData } from './restore-messages.ts'

/** Decodes, checks and writes frames. */
export interface FrameWriter {
  write(job: FrameJob, stored: Uint8Array): Promise<FrameResult>
  /** How many frames it is worth to have on the way at once. */
  readonly width: number
  close(): Promise<void>
}

/** More threads wait for each other in the file system. */
const MAX_THREADS = 2
const CALLS_PER_THREAD = 3
const SLICE_MS = 6

/** A frame as a whole, without a pause. A damaged frame damages all its pieces. */
export function restoreFrame(job: FrameJob, stored: Uint8Array, keys: RepositoryKeys | null): FrameResult {
  let raw: Uint8Array
  try {
    raw = decodeFrame(stored, job, keys)
  } catch (error) {
    return damagedFrame(job, error)
  }
  return writePieces(job, raw, keys, 0, Number.POSITIVE_INFINITY).result
}

/** Works in this thread, in slices between which the event loop gets its turns; decodes on the thread pool. */
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
      for (let from = 0; from < job.pieces.length;) {
        const { next, result } = writePieces(job, raw, keys, from, SLICE_MS)
        merged = {
          damaged: [...merged.damaged, ...result.damaged],
          damage: merged.damage ?? result.damage,
          files: [...merged.files, ...result.files],
        }
        from = next
        await setImmediate()
      }
      return merged
    }
    const result = run()
    last = result.catch(() => undefined)
    return result
  }
  return { write, width: 4, close: async () => undefined }
}

/** Works in threads, which are started at once and stopped by `close`. */
export function createThreadedWriter(keys: RepositoryKeys | null): FrameWriter {
  const threads = Array.from({ length: Math.min(MAX_THREADS, Math.max(1, availableParallelism())) }, () =>
    startThread({ keys }),
  )
  return {
    width: threads.length * CALLS_PER_THREAD,
    async write(job, stored) {
      const idlest = threads.reduce((left, right) => (right.waiting() < left.waiting() ? right : left))
      return idlest.call(job, stored)
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.stop()))
    },
  }
}

interface Thread {
  call(job: FrameJob, stored: Uint8Array): Promise<FrameResult>
  waiting(): number
  stop(): Promise<unknown>
}

function startThread(data: RestoreWorkerData): Thread {
  const name = import.meta.url.endsWith('.ts') ? './restore-worker.ts' : './restore-worker.js'
  const worker = new Worker(new URL(name, import.meta.url), {
    name: 'ws-restore',
    workerData: data,
    execArgv: [],
  })
  worker.unref()
  const calls = new Map<number, PromiseWithResolvers<FrameResult>>()
  let lastCall = 0
  let ended: unknown
  const end = (error: unknown): void => {
    ended ??= error
    for (const { reject } of calls.values()) reject(ended)
    calls.clear()
  }
  worker.on('message', (reply: RestoreReply) => {
    const call = calls.get(reply.call)
    calls.delete(reply.call)
    if (calls.size === 0) worker.unref()
    if (reply.failure !== null) call?.reject(fromFailure(reply.failure))
    else {
      const damage = reply.damage === null ? null : fromFailure(reply.damage)
      if (damage !== null && !WorkspaceError.is(damage)) call?.reject(damage)
      else call?.resolve({ damaged: reply.damaged, damage, files: reply.files })
    }
  })
  worker.on('error', end)
  worker.on('exit', () =>
    end(new WorkspaceError('INTERNAL', 'A thread that wrote files ended before its work.')),
  )
  return {
    waiting: () => calls.size,
    call(job, stored) {
      if (ended !== undefined) return Promise.reject(ended)
      const settled = Promise.withResolvers<FrameResult>()
      lastCall += 1
      calls.set(lastCall, settled)
      worker.ref()
      // A view would be sent with all that its buffer holds.
      const isAlone = stored.byteLength === stored.buffer.byteLength
      const own = isAlone && stored.buffer instanceof ArrayBuffer ? stored.buffer : stored.slice().buffer
      const message: RestoreCall = { ...job, call: lastCall, stored: new Uint8Array(own) }
      worker.postMessage(message, [own])
      return settled.promise
    },
    stop: () => worker.terminate(),
  }
}

function damagedFrame(job: FrameJob, error: unknown): FrameResult {
  if (!WorkspaceError.is(error, 'CORRUPT')) throw error
  return { damaged: job.pieces.map((_, number) => number), damage: error, files: [] }
}
