import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { threadFile } from '../../thread-file.ts'
import type { SnapshotProgressListener } from '../snapshot-progress.ts'
import type { CaptureCallOptions, CaptureOutcome, CaptureRequest } from './capture-job.ts'
import {
  sizeOfBatch,
  unpackFailure,
  type CaptureCall,
  type CaptureReply,
  type FileBatch,
  type HashedBatch,
} from './capture-messages.ts'

/** Threads beyond this share the disk and the memory bus to no gain. */
const MAX_THREADS = 8
/** How long idle threads, with the stat caches that they hold, outlive their last capture. */
const IDLE_MS = 30_000

type EarlyReply = Extract<CaptureReply, { readonly kind: 'batch' | 'walked' }>

interface Thread {
  /** Resolves with the last reply of the call; those before it go to `onEarly`. */
  call(id: number, call: CaptureCall, onEarly?: (reply: EarlyReply) => void): Promise<CaptureReply>
  stop(): void
}

/** The threads could not be started here (no worker file beside a bundled host, a permission model): capture without. */
export class ThreadsUnavailable extends Error {}

const threads = new Map<number, Thread>()
let captures = 0
let idle: NodeJS.Timeout | undefined
let lastId = 0

/**
 * Captures in worker threads: one walks and writes the manifest, all of them hash. They are started on first use, keep
 * their stat caches between captures, never keep the process alive by themselves, and end after 30 seconds without work.
 */
export async function captureInThreads(
  request: CaptureRequest,
  { onProgress, signal }: CaptureCallOptions = {},
): Promise<CaptureOutcome> {
  signal?.throwIfAborted()
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const onAbort = (): void => void Atomics.store(stop, 0, 1)
  signal?.addEventListener('abort', onAbort, { once: true })
  captures += 1
  clearTimeout(idle)
  try {
    const outcome = await coordinate(request, stop, onProgress)
    signal?.throwIfAborted()
    if (outcome === null) throw new Error('a capture stopped that nobody had aborted')
    return outcome
  } catch (error) {
    Atomics.store(stop, 0, 1)
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
    captures -= 1
    if (captures === 0) idle = setTimeout(stopCaptureThreads, IDLE_MS).unref()
  }
}

/** Ends the threads at once. @internal Captures that are running fail. */
export function stopCaptureThreads(): void {
  clearTimeout(idle)
  for (const thread of threads.values()) thread.stop()
  threads.clear()
}

async function coordinate(
  request: CaptureRequest,
  stop: Int32Array,
  onProgress: SnapshotProgressListener | undefined,
): Promise<CaptureOutcome | null> {
  const walker = threadAt(0)
  const hashing = createHashQueue(stop, onProgress)
  lastId += 1
  const scan = lastId
  const scanned = await walker.call(scan, { kind: 'scan', request, stop }, (reply) => {
    if (reply.kind === 'batch') hashing.add(reply.batch)
    else onProgress?.({ phase: 'look', filesDone: reply.seen, filesExpected: null, bytesDone: 0 })
  })
  if (scanned.kind === 'captured') return scanned.outcome
  if (scanned.kind !== 'scanned') return null
  let hashes: HashedBatch[] | null = null
  try {
    hashes = await hashing.finish(walker)
  } finally {
    if (hashes === null) await walker.call((lastId += 1), { kind: 'forget', scan })
  }
  if (hashes === null) return null
  const captured = await walker.call((lastId += 1), { kind: 'finish', scan, hashes })
  return captured.kind === 'captured' ? captured.outcome : null
}

/** Hands batches to every thread but the walker as soon as they come, and to the walker once it has walked. */
function createHashQueue(stop: Int32Array, onProgress: SnapshotProgressListener | undefined) {
  const queue: FileBatch[] = []
  const hashes: HashedBatch[] = []
  const drains: Promise<void>[] = []
  let isWalked = false
  let filesGiven = 0
  let filesDone = 0
  let bytesDone = 0
  const count = ({ batch }: HashedBatch): void => {
    const { files, bytes } = sizeOfBatch(batch)
    filesDone += files
    bytesDone += bytes
    onProgress?.({ phase: 'read', filesDone, filesExpected: isWalked ? filesGiven : null, bytesDone })
  }
  let stopped = false
  const drain = async (thread: Thread): Promise<void> => {
    for (let batch = queue.shift(); batch !== undefined && !stopped; batch = queue.shift()) {
      const reply = await thread.call((lastId += 1), { kind: 'hash', batch, stop })
      if (reply.kind === 'hashed') {
        hashes.push(reply.hashes)
        count(reply.hashes)
      } else stopped = true
    }
  }
  const busy = new Set<number>()
  const start = (index: number, thread: Thread): void => {
    busy.add(index)
    const done = drain(thread).finally(() => busy.delete(index))
    done.catch(() => {
      stopped = true
    })
    drains.push(done)
  }
  const helpers = Math.min(MAX_THREADS, availableParallelism())
  return {
    add: (batch: FileBatch): void => {
      queue.push(batch)
      filesGiven += sizeOfBatch(batch).files
      for (let index = 1; index < helpers; index += 1) {
        if (!busy.has(index)) {
          start(index, threadAt(index))
          break
        }
      }
    },
    async finish(walker: Thread): Promise<HashedBatch[] | null> {
      isWalked = true
      start(0, walker)
      await Promise.all(drains)
      return stopped ? null : hashes
    },
  }
}

function threadAt(index: number): Thread {
  const running = threads.get(index)
  if (running !== undefined) return running
  const thread = startThread(() => {
    if (threads.get(index) === thread) threads.delete(index)
  })
  threads.set(index, thread)
  return thread
}

function startThread(onEnd: () => void): Thread {
  const file = threadFile(import.meta.url, 'capture-worker')
  if (file === null) throw new ThreadsUnavailable('the code of the capture thread is not there')
  const worker = createWorker(file)
  worker.unref()
  let alive = false
  const calls = new Map<
    number,
    {
      resolve: (reply: CaptureReply) => void
      reject: (error: unknown) => void
      onEarly: ((reply: EarlyReply) => void) | undefined
    }
  >()
  const settle = (id: number): void => {
    calls.delete(id)
    if (calls.size === 0) worker.unref()
  }
  const end = (error: Error): void => {
    onEnd()
    for (const call of calls.values()) call.reject(alive ? error : new ThreadsUnavailable(error.message))
    calls.clear()
  }
  worker.on('message', ({ id, reply }: { id: number; reply: CaptureReply }) => {
    alive = true
    const call = calls.get(id)
    if (call === undefined) return
    if (reply.kind === 'batch' || reply.kind === 'walked') {
      try {
        call.onEarly?.(reply)
      } catch (error) {
        settle(id)
        call.reject(error)
      }
      return
    }
    settle(id)
    if (reply.kind === 'failed') call.reject(unpackFailure(reply.failure))
    else call.resolve(reply)
  })
  worker.on('error', (error) => end(error instanceof Error ? error : new Error(String(error))))
  worker.on('exit', (code) => end(new Error(`the capture thread ended with code ${code}`)))
  return {
    call(id, call, onEarly) {
      return new Promise((resolve, reject) => {
        calls.set(id, { resolve, reject, onEarly })
        worker.ref()
        worker.postMessage({ id, call })
      })
    },
    stop() {
      void worker.terminate()
    },
  }
}

function createWorker(file: URL): Worker {
  try {
    return new Worker(file, { name: 'ws-capture', execArgv: [] })
  } catch (error) {
    throw new ThreadsUnavailable('worker threads are not allowed here', { cause: error })
  }
}
