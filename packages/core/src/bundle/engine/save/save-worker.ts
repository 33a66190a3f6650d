/** A thread that runs saves; see `save-threads.ts` for who talks to it. */
import { parentPort } from 'node:worker_threads'
import { toFailure } from '../../thread-failure.ts'
import { emptyTree } from '../known/known-tree.ts'
import { useKnownTree } from '../known/known-trees.ts'
import { readingThread, warmReadingThread } from './reading-thread.ts'
import { runSaveJob } from './save-job.ts'
import type { SaveHost } from './save-state.ts'
import type { FromSaveWorker, SaveAnswer, ToSaveWorker } from './save-messages.ts'

const PROGRESS_MS = 50

const port = parentPort
if (port === null) throw new Error('save-worker is started as a thread')

/** A save asks one thing at a time. */
const waiting = new Map<number, PromiseWithResolvers<SaveAnswer>>()

function post(message: FromSaveWorker, transfer: readonly ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer)
}

function ask(save: number, send: () => void): Promise<SaveAnswer> {
  const answer = Promise.withResolvers<SaveAnswer>()
  waiting.set(save, answer)
  send()
  return answer.promise
}

/** Only ends the job: whoever asked for it knows the reason. */
class SaveStopped extends Error {}

function hostOf(save: number, stop: Int32Array, packMemory: readonly SharedArrayBuffer[]): SaveHost {
  let reportedAt = 0
  const untaken = [...packMemory]
  return {
    pause() {
      if (Atomics.load(stop, 0) !== 0) throw new SaveStopped('the save was stopped')
      return undefined
    },
    onWalked: () => undefined,
    readAheadBytes: Number.POSITIVE_INFINITY,
    readingThread,
    warmReadingThread,
    onProgress(progress) {
      const now = performance.now()
      if (now - reportedAt < PROGRESS_MS) return
      reportedAt = now
      post({ kind: 'progress', save, progress })
    },
    async put(reference, bytes) {
      const transfer = bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : []
      return (await ask(save, () => post({ kind: 'put', save, reference, bytes }, transfer))).memory
    },
    takeFull: () => untaken.pop() ?? null,
    async readParent(request) {
      return (await ask(save, () => post({ kind: 'read-parent', save, request }))).tree ?? emptyTree()
    },
  }
}

port.on('message', (message: ToSaveWorker) => {
  if (message.kind === 'answer') {
    const answer = waiting.get(message.save)
    waiting.delete(message.save)
    if (message.hasFailed) answer?.reject(new SaveStopped('the store failed'))
    else answer?.resolve(message)
    return
  }
  const { save, job, cacheDirectory, repositoryId, stop, packMemory } = message
  const host = hostOf(save, stop, packMemory)
  useKnownTree(cacheDirectory, repositoryId, (tree) => runSaveJob(job, tree, host)).then(
    (saved) => post({ kind: 'done', save, saved }),
    (error: unknown) => post({ kind: 'failed', save, failure: toFailure(error) }),
  )
})
