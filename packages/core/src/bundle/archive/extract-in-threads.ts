import { MessageChannel } from 'node:worker_threads'
import type { ExtractedArchive, ExtractArchiveOptions, ExtractPlan } from './extract-archive.ts'
import { createBatchMemory, FINISHED, STATE, STOPPED } from './file-batches.ts'
import { bundleThread, runInWorker } from './run-in-worker.ts'
import { borrowThread } from '../warm-threads.ts'
import type { BatchPartner, FromWorker, WriteTask } from './worker-task.ts'

/**
 * As `extractArchive`, in a thread that reads the archive and makes directories and large files, with a second one beside
 * it that writes small files. When it returns or throws, both have put their files away.
 */
export async function extractInThreads(
  input: AsyncIterator<Uint8Array>,
  plan: ExtractPlan,
  { signal, onProgress }: Pick<ExtractArchiveOptions, 'signal' | 'onProgress'>,
): Promise<ExtractedArchive> {
  signal?.throwIfAborted()
  const second = plan.root === null ? null : startWriter(plan.umask)
  try {
    const writer = second?.partner ?? null
    const transfer = writer === null ? [] : [writer.port]
    const work = runInWorker({ kind: 'extract', plan, writer }, { input, onProgress, signal, transfer })
    for (;;) {
      const next = await work.next()
      if (next.done === true) return next.value as ExtractedArchive
    }
  } finally {
    await second?.end()
  }
}

interface SecondThread {
  /** For the first thread. */
  readonly partner: BatchPartner
  /** When the first thread is over. */
  end(): Promise<void>
}

function startWriter(umask: number): SecondThread {
  const memory = createBatchMemory()
  const { port1, port2 } = new MessageChannel()
  const task: WriteTask = { kind: 'write', umask, reader: { memory, port: port2 } }
  const thread = borrowThread(bundleThread, task, [port2])
  let isOver = false
  const over = new Promise<void>((resolve) => {
    thread.port.on('message', ({ type }: FromWorker) => {
      isOver = type === 'done'
      resolve()
    })
    void thread.gone.then(() => {
      Atomics.store(memory.control, STATE, STOPPED)
      Atomics.notify(memory.control, FINISHED)
      resolve()
    })
  })
  return {
    partner: { memory, port: port1 },
    async end() {
      // The first thread has closed it, unless it never got it.
      port1.close()
      await over
      if (isOver) thread.giveBack()
      else await thread.stop()
    },
  }
}
