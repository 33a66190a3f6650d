import { Worker } from 'node:worker_threads'
import { WorkspaceError } from '../errors.ts'
import type { BundleProgress } from './bundle.ts'
import {
  CHUNKS_IN_FLIGHT,
  type FromWorker,
  type ToWorker,
  type WorkerFailure,
  type WorkerTask,
} from './worker-task.ts'

export interface RunInWorkerOptions {
  readonly input?: AsyncIterator<Uint8Array> | undefined
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs one task in a thread of its own: yields the chunks that it makes, returns its result. Whatever ends the
 * iteration (result, error, abort, a consumer that stops), the thread has put its files away and is gone afterwards.
 */
export async function* runInWorker(
  task: WorkerTask,
  options: RunInWorkerOptions,
): AsyncGenerator<Uint8Array, unknown, void> {
  const { input, onProgress, signal } = options
  signal?.throwIfAborted()
  const name = import.meta.url.endsWith('.ts') ? './bundle-worker.ts' : './bundle-worker.js'
  const worker = new Worker(new URL(name, import.meta.url), { workerData: task, execArgv: [] })
  const send = (message: ToWorker): void => worker.postMessage(message)
  const inbox = mailbox<FromWorker>()
  worker.on('message', (message: FromWorker) => inbox.put(message))
  worker.on('error', (error) => inbox.fail(error))
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  void exited.then(() =>
    inbox.fail(
      new WorkspaceError('INTERNAL', 'The thread that worked on the archive ended without a result.'),
    ),
  )
  const abort = (): void => send({ type: 'abort' })
  signal?.addEventListener('abort', abort, { once: true })
  const feed = input === undefined ? undefined : startFeed(input, send, (error) => inbox.fail(error))
  try {
    for (;;) {
      const message = await inbox.take()
      if (message.type === 'chunk') {
        yield message.chunk
        send({ type: 'taken' })
      } else if (message.type === 'taken') feed?.taken()
      else if (message.type === 'progress') onProgress?.(message.progress)
      else if (message.type === 'done') return message.result
      else throw signal?.aborted === true ? signal.reason : toError(message.failure)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    feed?.stop()
    send({ type: 'abort' })
    await exited
  }
}

function startFeed(
  input: AsyncIterator<Uint8Array>,
  send: (message: ToWorker) => void,
  fail: (error: unknown) => void,
): { taken(): void; stop(): void } {
  let unanswered = 0
  let isStopped = false
  let wake: (() => void) | undefined
  const run = async (): Promise<void> => {
    while (!isStopped) {
      const next = await input.next()
      if (isStopped) return
      if (next.done === true) return send({ type: 'end' })
      // A copy: the producer may use its buffer again, and a pooled one would be sent with all that it holds.
      send({ type: 'chunk', chunk: Uint8Array.from(next.value) })
      unanswered += 1
      if (unanswered >= CHUNKS_IN_FLIGHT) await new Promise<void>((resolve) => (wake = resolve))
    }
  }
  run().catch(fail)
  return {
    taken() {
      unanswered -= 1
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

export function toFailure(error: unknown): WorkerFailure {
  const message = error instanceof Error ? error.message : String(error)
  const errno =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
  if (!WorkspaceError.is(error)) return { code: null, message, details: {}, errno, cause: plainCause(error) }
  return { code: error.code, message, details: error.details, errno: null, cause: plainCause(error.cause) }
}

function plainCause(cause: unknown): unknown {
  if (!(cause instanceof Error)) return undefined
  const errno = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
  return { message: cause.message, code: errno, stack: cause.stack }
}

function toError(failure: WorkerFailure): Error {
  const cause =
    failure.cause === undefined
      ? {}
      : { cause: Object.assign(new Error('in the archive thread'), failure.cause) }
  if (failure.code !== null) {
    return new WorkspaceError(failure.code, failure.message, { details: failure.details, ...cause })
  }
  const error = new Error(failure.message, cause)
  return failure.errno === null ? error : Object.assign(error, { code: failure.errno })
}
