import type { Buffer } from 'node:buffer'
import { parentPort, workerData } from 'node:worker_threads'
import { archiveDirectory, archiveReport, emptyNotes } from './archive-directory.ts'
import { extractArchive } from './extract-archive.ts'
import { compressBlocks } from './frame-compressor.ts'
import { toFailure } from './run-in-worker.ts'
import {
  CHUNKS_IN_FLIGHT,
  type CreateTask,
  type FromWorker,
  type ToWorker,
  type WorkerTask,
} from './worker-task.ts'

/** The thread behind `runInWorker`: one task, then it ends by itself because nothing keeps it awake. */
const port = parentPort
if (port === null) throw new Error('bundle-worker is started as a thread')

const controller = new AbortController()
const received: (Extract<ToWorker, { type: 'chunk' }> | null)[] = []
let unanswered = 0
let wake: (() => void) | undefined

port.on('message', (message: ToWorker) => {
  if (message.type === 'chunk') received.push(message)
  else if (message.type === 'end') received.push(null)
  else if (message.type === 'taken') unanswered -= 1
  else {
    controller.abort()
  }
  wake?.()
})

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port?.postMessage(message, transfer)
}

function nextMessage(): Promise<void> {
  controller.signal.throwIfAborted()
  return new Promise((resolve) => (wake = resolve))
}

/** Chunks that are only valid until the next one is asked for. */
async function* receivedChunks(): AsyncGenerator<Uint8Array, void, void> {
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
}

/** With its memory, unless others have a share in that. */
function sendChunk(chunk: Buffer): void {
  const { buffer } = chunk
  const isOwn = buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length
  send({ type: 'chunk', chunk }, isOwn ? [buffer] : [])
}

async function create(task: CreateTask): Promise<unknown> {
  const notes = emptyNotes()
  let archiveBytes = 0
  const pool: Buffer[] = []
  const blocks = archiveDirectory(task.directory, task.exclude, notes, pool)
  for await (const chunk of compressBlocks(blocks, task.format, task.level, pool)) {
    controller.signal.throwIfAborted()
    archiveBytes += chunk.length
    unanswered += 1
    sendChunk(chunk)
    const { files, directories, symlinks, hardLinks, contentBytes } = notes.totals
    const entries = files + directories + symlinks + hardLinks
    send({ type: 'progress', progress: { phase: 'create', entries, bytes: contentBytes } })
    while (unanswered >= CHUNKS_IN_FLIGHT) await nextMessage()
  }
  return archiveReport(notes, archiveBytes)
}

async function run(task: WorkerTask): Promise<unknown> {
  if (task.kind === 'create') return create(task)
  return extractArchive(receivedChunks(), task.plan, {
    signal: controller.signal,
    onProgress: (progress) => send({ type: 'progress', progress }),
  })
}

run(workerData as WorkerTask)
  .then(
    (result) => send({ type: 'done', result }),
    (error: unknown) => send({ type: 'failed', failure: toFailure(error) }),
  )
  .finally(() => port.close())
