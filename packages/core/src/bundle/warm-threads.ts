import { availableParallelism } from 'node:os'
import { MessageChannel, Worker, type MessagePort, type ResourceLimits } from 'node:worker_threads'

/** What a thread runs. Threads of one kind can stand in for each other. */
export interface ThreadKind {
  readonly name: string
  /** See `threadFile`. */
  readonly file: URL | null
  readonly resourceLimits?: ResourceLimits | undefined
}

/** A thread that somebody has for one task. */
export interface BorrowedThread {
  /** Of a conversation about this task alone: what comes too late for it reaches nobody. */
  readonly port: MessagePort
  /** Resolves when the thread is gone, whatever ended it, with the error if there was one. */
  readonly gone: Promise<unknown>
  /** For the next task. Only when this one is over on the thread's side too. */
  giveBack(): void
  stop(): Promise<void>
}

/** What a thread gets for each task: its end of the conversation. */
export interface ThreadTask {
  readonly task: unknown
  readonly port: MessagePort
}

/**
 * How long a thread without work stays: its start takes 25 ms, and its code runs several times faster once it is warm.
 * An agent's turn is shorter, so the load before it and the save after it, or its next load, find them.
 */
const IDLE_MS = 120_000

interface Thread {
  readonly kind: ThreadKind
  readonly worker: Worker
  readonly gone: Promise<unknown>
  isGone: boolean
  timer?: NodeJS.Timeout
}

const idleThreads: Thread[] = []

/**
 * Gives a task to a thread that is warm from an earlier one, or to a new one. Threads keep the process alive only while
 * they work. Up to one for each core and kind stay for two minutes.
 * @throws where none can be started
 */
export function borrowThread(
  kind: ThreadKind,
  task: unknown,
  transfer: readonly MessagePort[] = [],
): BorrowedThread {
  const { port1: port, port2 } = new MessageChannel()
  const thread = takeIdle(kind) ?? startThread(kind)
  const { worker, gone } = thread
  worker.ref()
  worker.postMessage({ task, port: port2 } satisfies ThreadTask, [port2, ...transfer])
  return {
    port,
    gone,
    giveBack() {
      port.close()
      keepIdle(thread)
    },
    async stop() {
      port.close()
      await worker.terminate()
    },
  }
}

/** Ends the threads that have nothing to do. @internal */
export async function stopIdleThreads(): Promise<void> {
  await Promise.all(idleThreads.splice(0).map(stopIdle))
}

function startThread(kind: ThreadKind): Thread {
  const { name, file, resourceLimits } = kind
  if (file === null) throw new Error(`the code of the thread ${name} is not there`)
  const worker = new Worker(file, {
    name,
    execArgv: [],
    ...(resourceLimits === undefined ? {} : { resourceLimits }),
  })
  const ended = Promise.withResolvers<unknown>()
  const thread: Thread = { kind, worker, gone: ended.promise, isGone: false }
  const end = (error?: unknown): void => {
    thread.isGone = true
    forget(thread)
    ended.resolve(error)
  }
  worker.once('error', end)
  worker.once('exit', () => end())
  return thread
}

function takeIdle({ file }: ThreadKind): Thread | undefined {
  const thread = idleThreads.findLast(({ kind }) => kind.file?.href === file?.href)
  if (thread !== undefined) forget(thread)
  return thread
}

function keepIdle(thread: Thread): void {
  const { kind, worker, isGone } = thread
  if (isGone) return
  worker.unref()
  const alike = idleThreads.filter((other) => other.kind.file?.href === kind.file?.href)
  if (alike.length >= availableParallelism()) {
    void worker.terminate()
    return
  }
  thread.timer = setTimeout(() => void stopIdle(thread), IDLE_MS).unref()
  idleThreads.push(thread)
}

async function stopIdle(thread: Thread): Promise<void> {
  forget(thread)
  await thread.worker.terminate()
}

function forget(thread: Thread): void {
  clearTimeout(thread.timer)
  const index = idleThreads.indexOf(thread)
  if (index >= 0) idleThreads.splice(index, 1)
}
