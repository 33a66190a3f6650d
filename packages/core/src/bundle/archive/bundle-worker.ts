import type { Buffer } from 'node:buffer'
import { parentPort, type MessagePort } from 'node:worker_threads'
import { archiveDirectory } from './archive-directory.ts'
import { archiveReport, emptyNotes } from './archive-notes.ts'
import { extractArchive } from './extract-archive.ts'
import { compressBlocks } from './frame-compressor.ts'
import { createFileBatches } from './file-batches.ts'
import { toFailure } from '../thread-failure.ts'
import type { ThreadTask } from '../warm-threads.ts'
import {
  CHUNKS_IN_FLIGHT,
  type CreateTask,
  type FromWorker,
  type ToWorker,
  type WorkerTask,
} from './worker-task.ts'
import { writeBatches } from './write-batches.ts'

/** The thread behind `runInWorker`: one task after the other. */
if (parentPort === null) throw new Error('bundle-worker is started as a thread')

parentPort.on('message', ({ task, port }: ThreadTask) => {
  const conversation = converse(port)
  run(task as WorkerTask, conversation)
    .then(
      (result) => conversation.send({ type: 'done', result }),
      (error: unknown) => conversation.send({ type: 'failed', failure: toFailure(error) }),
    )
    .finally(() => port.close())
})

type Conversation = ReturnType<typeof converse>

function converse(port: MessagePort) {
  const controller = new AbortController()
  const received: (Extract<ToWorker, { type: 'chunk' }> | null)[] = []
  let unanswered = 0
  let wake: (() => void) | undefined
  port.on('message', (message: ToWorker) => {
    if (message.type === 'chunk') received.push(message)
    else if (message.type === 'end') received.push(null)
    else if (message.type === 'taken') unanswered -= 1
    else controller.abort()
    wake?.()
  })
  const send = (message: FromWorker, transfer: ArrayBuffer[] = []): void =>
    port.postMessage(message, transfer)
  const nextMessage = (): Promise<void> => {
    controller.signal.throwIfAborted()
    return new Promise((resolve) => (wake = resolve))
  }
  return {
    signal: controller.signal,
    send,
    /** With its memory, unless others have a share in that. */
    sendChunk: (chunk: Buffer): void => {
      const { buffer } = chunk
      const isOwn = buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length
      unanswered += 1
      send({ type: 'chunk', chunk }, isOwn ? [buffer] : [])
    },
    untilTaken: async (): Promise<void> => {
      while (unanswered >= CHUNKS_IN_FLIGHT) await nextMessage()
    },
    /** Chunks that are only valid until the next one is asked for. */
    async *chunks(): AsyncGenerator<Uint8Array, void, void> {
      for (;;) {
        controller.signal.throwIfAborted()
        const next = received.shift()
        if (next === undefined) {
          await nextMessage()
          continue
        }
        if (next === null) return
        yield new Uint8Array(next.memory, 0, next.bytes)
        send({ type: 'taken', memory: next.memory }, [next.memory])
      }
    },
  }
}

async function create(
  task: CreateTask,
  { send, sendChunk, untilTaken, signal }: Conversation,
): Promise<unknown> {
  const notes = emptyNotes()
  let archiveBytes = 0
  const pool: Buffer[] = []
  const blocks = archiveDirectory(task.directory, task.exclude, notes, pool)
  for await (const chunk of compressBlocks(blocks, task.format, task.level, pool)) {
    signal.throwIfAborted()
    archiveBytes += chunk.length
    sendChunk(chunk)
    const { files, directories, symlinks, hardLinks, contentBytes } = notes.totals
    const entries = files + directories + symlinks + hardLinks
    send({ type: 'progress', progress: { phase: 'create', entries, bytes: contentBytes } })
    await untilTaken()
  }
  return archiveReport(notes, archiveBytes)
}

async function run(task: WorkerTask, conversation: Conversation): Promise<unknown> {
  if (task.kind === 'create') return create(task, conversation)
  if (task.kind === 'write') return writeBatches(task.reader.memory, task.reader.port, task.umask)
  const { signal, send } = conversation
  const { plan, writer } = task
  return extractArchive(conversation.chunks(), plan, {
    signal,
    batches: writer === null ? undefined : createFileBatches(writer.memory, writer.port),
    onProgress: (progress) => send({ type: 'progress', progress }),
  })
}
