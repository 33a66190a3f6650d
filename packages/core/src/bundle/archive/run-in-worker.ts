import type { MessagePort } from 'node:worker_threads'
import { WorkspaceError } from '../../errors.ts'
import { threadFile } from '../../thread-file.ts'
import type { BundleProgress } from '../bundle.ts'
import { earlyCollector } from './early-collector.ts'
import { fromFailure } from '../thread-failure.ts'
import {
  CHUNKS_IN_FLIGHT,
  INPUT_CHUNK_BYTES,
  type FromWorker,
  type ToWorker,
  type WorkerTask,
} from './worker-task.ts'
import { borrowThread, type ThreadKind } from '../warm-threads.ts'

export interface RunInWorkerOptions {
  readonly input?: AsyncIterator<Uint8Array> | undefined
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** Ports that the task holds. */
  readonly transfer?: readonly MessagePort[] | undefined
}

/** Of the thread; it makes little that lives on. */
const NURSERY_MIB = 4

export const bundleThread: ThreadKind = {
  name: 'ws-bundle',
  file: threadFile(import.meta.url, 'bundle-worker'),
  resourceLimits: { maxYoungGenerationSizeMb: NURSERY_MIB },
}

/** Whether there is a thread for `runInWorker`. */
export function hasBundleThread(): boolean {
  return bundleThread.file !== null
}

/**
 * Runs one task in a thread: yields the chunks that it makes, returns its result. Whatever ends the iteration (result,
 * error, abort, a consumer that stops), the task has put its files away by then.
 */
export async function* runInWorker(
  task: WorkerTask,
  options: RunInWorkerOptions,
): AsyncGenerator<Uint8Array, unknown, void> {
  const { input, onProgress, signal, transfer = [] } = options
  signal?.throwIfAborted()
  const thread = borrowThread(bundleThread, task, transfer)
  const send = (message: ToWorker, memory: ArrayBuffer[] = []): void =>
    thread.port.postMessage(message, memory)
  const inbox = mailbox<FromWorker>()
  const collector = earlyCollector()
  let isOver = false
  const ended = Promise.withResolvers<void>()
  thread.port.on('message', (message: FromWorker) => {
    inbox.put(message)
    if (message.type !== 'done' && message.type !== 'failed') return
    isOver = true
    ended.resolve()
  })
  void thread.gone.then((cause) => {
    inbox.fail(
      new WorkspaceError('INTERNAL', 'The thread that worked on the archive ended without a result.', {
        cause,
      }),
    )
    ended.resolve()
  })
  const abort = (): void => send({ type: 'abort' })
  signal?.addEventListener('abort', abort, { once: true })
  const feed = input === undefined ? undefined : startFeed(input, send, (error) => inbox.fail(error))
  try {
    for (;;) {
      const message = await inbox.take()
      if (message.type === 'chunk') {
        yield message.chunk
        collector.sent(message.chunk.length)
        send({ type: 'taken' })
      } else if (message.type === 'taken') feed?.taken(message.memory)
      else if (message.type === 'progress') onProgress?.(message.progress)
      else if (message.type === 'done') return message.result
      else throw signal?.aborted === true ? signal.reason : fromFailure(message.failure)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    feed?.stop()
    if (!isOver) send({ type: 'abort' })
    await ended.promise
    if (isOver) thread.giveBack()
    else await thread.stop()
  }
}

interface Feed {
  taken(memory: ArrayBuffer): void
  stop(): void
}

/**
 * Sends the input in chunks of one size, copied: the producer may use its buffers again. The same few pieces of memory
 * go back and forth.
 */
function startFeed(
  input: AsyncIterator<Uint8Array>,
  send: (message: ToWorker, transfer?: ArrayBuffer[]) => void,
  fail: (error: unknown) => void,
): Feed {
  const free = Array.from({ length: CHUNKS_IN_FLIGHT }, () => new ArrayBuffer(INPUT_CHUNK_BYTES))
  let isStopped = false
  let wake: (() => void) | undefined
  let memory: ArrayBuffer | undefined
  let used = 0
  const flush = (): void => {
    if (memory === undefined) return
    send({ type: 'chunk', memory, bytes: used }, [memory])
    memory = undefined
    used = 0
  }
  const put = async (chunk: Uint8Array): Promise<void> => {
    for (let offset = 0; offset < chunk.length && !isStopped;) {
      memory ??= free.pop()
      if (memory === undefined) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      const part = chunk.subarray(offset, offset + INPUT_CHUNK_BYTES - used)
      new Uint8Array(memory).set(part, used)
      used += part.length
      offset += part.length
      if (used === INPUT_CHUNK_BYTES) flush()
    }
  }
  const run = async (): Promise<void> => {
    while (!isStopped) {
      const next = await input.next()
      if (isStopped) return
      if (next.done === true) {
        flush()
        return send({ type: 'end' })
      }
      await put(next.value)
    }
  }
  run().catch(fail)
  return {
    taken(returned) {
      free.push(returned)
      wake?.()
    },
    stop() {
      isStopped = true
      wake?.()
    },
  }
}

function mailbox<T>(): { put(message: T): void; fail(error: unknown): void; take(): Promise<T> } {
  const messages: T[] = []
  let failure: { readonly error: unknown } | undefined
  let waiting: (() => void) | undefined
  return {
    put(message) {
      messages.push(message)
      waiting?.()
    },
    fail(error) {
      failure ??= { error }
      waiting?.()
    },
    async take() {
      for (;;) {
        const message = messages.shift()
        if (message !== undefined) return message
        if (failure !== undefined) throw failure.error
        await new Promise<void>((resolve) => (waiting = resolve))
      }
    },
  }
}
