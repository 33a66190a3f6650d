import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { threadFile } from '../../../thread-file.ts'
import { fromFailure } from '../../thread-failure.ts'
import type { KnownTree } from '../known/known-tree.ts'
import type { ParentRequest, SaveJob } from './save-state.ts'
import type { FromSaveWorker, SaveAnswer, ToSaveWorker } from './save-messages.ts'
import type { SavedTree, SaveProgress } from './saved-tree.ts'
import type { PackUploads } from '../repository/upload-packs.ts'

export interface ThreadedSave {
  readonly job: SaveJob
  readonly cacheDirectory: string | null
  readonly repositoryId: string
  readonly uploads: PackUploads
  readonly readParent: (request: ParentRequest) => Promise<KnownTree>
  readonly onProgress: (progress: SaveProgress) => void
  readonly signal: AbortSignal | undefined
}

/** No thread can be started here: the worker's file is not beside a bundled host, or the host forbids threads. */
export class ThreadsUnavailable extends Error {}

const MAX_THREADS = 4
/** How long an idle thread, with the trees that it remembers, outlives its last save. */
const IDLE_MS = 60_000

interface SaveThread {
  readonly running: () => number
  save(options: ThreadedSave): Promise<SavedTree>
}

const threads: SaveThread[] = []
/** Which thread remembers a workspace's tree. */
const homes = new Map<string, SaveThread>()

/** Runs a save in a thread; the same one each time for one workspace. Threads never keep the process alive by themselves. */
export async function saveInThread(options: ThreadedSave): Promise<SavedTree> {
  options.signal?.throwIfAborted()
  const key = `${options.repositoryId} ${options.cacheDirectory ?? ''}`
  const home = homes.get(key)
  const thread = home !== undefined && threads.includes(home) ? home : pickThread()
  if (options.cacheDirectory !== null) homes.set(key, thread)
  return thread.save(options)
}

export function isAtHomeInThread(cacheDirectory: string | null, repositoryId: string): boolean {
  const home = homes.get(`${repositoryId} ${cacheDirectory ?? ''}`)
  return home !== undefined && threads.includes(home)
}

function pickThread(): SaveThread {
  const idle = threads.find((thread) => thread.running() === 0)
  if (idle !== undefined) return idle
  if (threads.length < Math.min(MAX_THREADS, availableParallelism())) return startThread()
  return threads.reduce((left, right) => (right.running() < left.running() ? right : left))
}

function startThread(): SaveThread {
  const file = threadFile(import.meta.url, 'save-worker')
  if (file === null) throw new ThreadsUnavailable('the code of the thread is not there')
  const worker = new Worker(file, {
    name: 'ws-save',
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  })
  worker.unref()
  const saves = new Map<number, { handle(message: FromSaveWorker): void; fail(error: unknown): void }>()
  let lastSave = 0
  let hasAnswered = false
  let idle: NodeJS.Timeout | undefined
  const end = (cause: unknown): void => {
    const index = threads.indexOf(thread)
    if (index >= 0) threads.splice(index, 1)
    for (const [key, home] of homes) if (home === thread) homes.delete(key)
    const error = hasAnswered ? cause : new ThreadsUnavailable('the thread did not start', { cause })
    for (const save of saves.values()) save.fail(error)
    saves.clear()
  }
  worker.on('message', (message: FromSaveWorker) => {
    hasAnswered = true
    saves.get(message.save)?.handle(message)
  })
  worker.on('error', end)
  worker.on('exit', (code) => end(new Error(`the thread that saved ended with code ${code}`)))
  const post = (message: ToSaveWorker, transfer: readonly ArrayBuffer[] = []): void =>
    worker.postMessage(message, transfer)
  const thread: SaveThread = {
    running: () => saves.size,
    async save(options) {
      lastSave += 1
      const save = lastSave
      const stop = new Int32Array(new SharedArrayBuffer(4))
      const onAbort = (): void => void Atomics.store(stop, 0, 1)
      options.signal?.addEventListener('abort', onAbort, { once: true })
      clearTimeout(idle)
      worker.ref()
      const { job, cacheDirectory, repositoryId } = options
      try {
        return await new Promise<SavedTree>((resolve, reject) => {
          const handle = converse(options, { save, post, stop: onAbort }, resolve, reject)
          saves.set(save, { handle, fail: reject })
          const packMemory = options.uploads.sharedMemory()
          post({ kind: 'save', save, job, cacheDirectory, repositoryId, stop, packMemory })
        })
      } finally {
        options.signal?.removeEventListener('abort', onAbort)
        saves.delete(save)
        if (saves.size === 0) {
          worker.unref()
          idle = setTimeout(() => void worker.terminate(), IDLE_MS).unref()
        }
      }
    },
  }
  threads.push(thread)
  return thread
}

interface SaveInThread {
  readonly save: number
  readonly post: (message: ToSaveWorker, transfer?: readonly ArrayBuffer[]) => void
  /** The thread then says soon that it has failed. */
  readonly stop: () => void
}

/** Answers what the save asks; what it fails with here is what it fails with. */
function converse(
  options: ThreadedSave,
  { save, post, stop }: SaveInThread,
  resolve: (saved: SavedTree) => void,
  reject: (error: unknown) => void,
): (message: FromSaveWorker) => void {
  let failure: { readonly error: unknown } | null = null
  const answer = (work: Promise<Partial<SaveAnswer>>): void => {
    work.then(
      ({ tree = null, memory = null }) =>
        post(
          { kind: 'answer', save, tree, memory, hasFailed: false },
          memory instanceof ArrayBuffer ? [memory] : [],
        ),
      (error: unknown) => {
        failure ??= { error }
        post({ kind: 'answer', save, tree: null, memory: null, hasFailed: true })
      },
    )
  }
  const report = (progress: SaveProgress): void => {
    if (failure !== null) return
    try {
      options.onProgress(progress)
    } catch (error) {
      failure = { error }
      stop()
    }
  }
  return (message) => {
    if (message.kind === 'put') {
      answer(options.uploads.put(message.reference, message.bytes).then((memory) => ({ memory })))
    } else if (message.kind === 'read-parent')
      answer(options.readParent(message.request).then((tree) => ({ tree })))
    else if (message.kind === 'progress') report(message.progress)
    else if (failure !== null) reject(failure.error)
    else if (message.kind === 'done') resolve(message.saved)
    else if (options.signal?.aborted === true) reject(options.signal.reason)
    else reject(fromFailure(message.failure))
  }
}
