/** The thread that captures big directories; see `capture-threads.ts` for who talks to it. */
import { parentPort } from 'node:worker_threads'
import type { FileHash } from '../../filesystem/scan-file-hash.ts'
import { createCaptureJob, hashUnknown, type CaptureJob, type UnknownFile } from './capture-job.ts'
import { packFailure, type CaptureCall, type CaptureReply, type FileBatch } from './capture-messages.ts'

/** A batch is worth the 0.1 ms that it costs to hand it to another thread. */
const BATCH_FILES = 512
const BATCH_BYTES = 8 * 1024 * 1024

const waiting = new Map<number, CaptureJob>()

parentPort?.on('message', ({ id, call }: { id: number; call: CaptureCall }) => {
  const reply = (message: CaptureReply): void => parentPort?.postMessage({ id, reply: message })
  try {
    reply(answer(id, call, reply))
  } catch (error) {
    reply({ kind: 'failed', failure: packFailure(error) })
  }
})

function answer(id: number, call: CaptureCall, reply: (message: CaptureReply) => void): CaptureReply {
  switch (call.kind) {
    case 'scan':
      return scan(id, call, (batch) => reply({ kind: 'batch', batch }))
    case 'hash':
      return hashBatch(call.batch, call.stop)
    case 'finish': {
      const job = waiting.get(call.scan)
      waiting.delete(call.scan)
      if (job === undefined) throw new Error('there is no such scan')
      return { kind: 'captured', outcome: job.finish(new Map(call.hashes.flat())) }
    }
    case 'forget':
      waiting.delete(call.scan)
      return { kind: 'stopped' }
  }
}

function scan(
  id: number,
  { request, stop }: CaptureCall & { kind: 'scan' },
  onBatch: (batch: FileBatch) => void,
): CaptureReply {
  let files: UnknownFile[] = []
  let bytes = 0
  let batches = 0
  const give = (): void => {
    onBatch({ root: request.root, readingBeganNs: job.readingBeganNs, files })
    batches += 1
    files = []
    bytes = 0
  }
  const job = createCaptureJob(request, (file) => {
    files.push(file)
    bytes += file.entry.size
    if (files.length >= BATCH_FILES || bytes >= BATCH_BYTES) give()
  })
  for (const _ of job.walk()) if (Atomics.load(stop, 0) !== 0) return { kind: 'stopped' }
  if (batches > 0) {
    if (files.length > 0) give()
    waiting.set(id, job)
    return { kind: 'scanned' }
  }
  const hashed = hashBatch({ root: request.root, readingBeganNs: job.readingBeganNs, files }, stop)
  return hashed.kind === 'hashed' ? { kind: 'captured', outcome: job.finish(new Map(hashed.hashes)) } : hashed
}

function hashBatch(
  { root, readingBeganNs, files }: FileBatch,
  stop: Int32Array,
): CaptureReply & { kind: 'hashed' | 'stopped' } {
  const hashes: (readonly [number, FileHash])[] = []
  for (const file of files) {
    if (Atomics.load(stop, 0) !== 0) return { kind: 'stopped' }
    hashes.push([file.index, hashUnknown(root, file, readingBeganNs)])
  }
  return { kind: 'hashed', hashes }
}
