import { availableParallelism } from 'node:os'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { threadFile } from '../../../thread-file.ts'
import type { ReadingAnswer, ReadingRequest } from './reading-messages.ts'

/** Reads files of saves while the thread that it belongs to goes on. */
export interface ReadingThread {
  /** `settle` is called once, with `null` when the thread could not do it. */
  send(request: ReadingRequest, settle: (answer: ReadingAnswer | null) => void): void
  /** Settles what is answered already, without waiting for a turn of the event loop. */
  receive(): void
}

/** Shared by the saves of this thread; ends with it. */
let thread: (ReadingThread & { isGone(): boolean }) | null = null

/** `null` when there is no core for another thread. */
export function readingThread(): ReadingThread | null {
  if (availableParallelism() < 2) return null
  if (thread !== null && !thread.isGone()) return thread
  const file = threadFile(import.meta.url, 'reading-worker')
  thread = file === null ? null : startThread(file)
  return thread
}

let wasWanted = false

/**
 * For work that gains less by a thread than its start takes: the one that runs. Who asks for the second time is likely to
 * ask again, so it is started then.
 */
export function warmReadingThread(): ReadingThread | null {
  const isWorthStart = wasWanted
  wasWanted = true
  return isWorthStart || thread?.isGone() === false ? readingThread() : null
}

function startThread(file: URL): ReadingThread & { isGone(): boolean } {
  const { port1: port, port2 } = new MessageChannel()
  const waiting = new Map<number, (answer: ReadingAnswer | null) => void>()
  let lastRequest = 0
  let isGone = false
  const settle = ({ request, ...answer }: ReadingAnswer & { readonly request: number }): void => {
    const taken = waiting.get(request)
    waiting.delete(request)
    taken?.(answer)
  }
  const end = (): void => {
    isGone = true
    for (const answer of waiting.values()) answer(null)
    waiting.clear()
    port.close()
  }
  const worker = new Worker(file, {
    name: 'ws-read',
    execArgv: [],
    workerData: { port: port2 },
    transferList: [port2],
    resourceLimits: { maxYoungGenerationSizeMb: 1, stackSizeMb: 1 },
  })
  worker.on('error', end)
  worker.on('exit', end)
  port.on('message', settle)
  worker.unref()
  port.unref()
  return {
    send(request, answer) {
      lastRequest += 1
      waiting.set(lastRequest, answer)
      if (isGone) return end()
      port.postMessage({ ...request, request: lastRequest })
    },
    receive() {
      for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port))
        settle(next.message as ReadingAnswer & { readonly request: number })
    },
    isGone: () => isGone,
  }
}
