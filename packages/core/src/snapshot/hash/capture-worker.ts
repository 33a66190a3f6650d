/** The thread that captures big directories; see `capture-threads.ts` for who talks to it. */
import { parentPort } from 'node:worker_threads'
import { hasSameFacts, isSettled } from '../../filesystem/scan-entry.ts'
import type { FileHash } from '../../filesystem/scan-file-hash.ts'
import { createCaptureJob, hashUnknown, type CaptureJob, type UnknownFile } from './capture-job.ts'
import {
  packBatch,
  packFailure,
  unpackBatch,
  type CaptureCall,
  type CaptureReply,
  type FileBatch,
  type HashedBatch,
} from './capture-messages.ts'

/** A batch is worth the 0.1 ms that it costs to hand it to another thread. */
const BATCH_FILES = 512
const BATCH_BYTES = 8 * 1024 * 1024

/** Some 20 ms of walking. */
const PATHS_PER_REPORT = 4096

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
      return scan(id, call, reply)
    case 'hash':
      return hashBatch(call.batch, call.stop)
    case 'finish': {
      const job = waiting.get(call.scan)
      waiting.delete(call.scan)
      if (job === undefined) throw new Error('there is no such scan')
      return { kind: 'captured', outcome: job.finish(collectHashes(call.hashes)) }
    }
    case 'forget':
      waiting.delete(call.scan)
      return { kind: 'stopped' }
  }
}

function scan(
  id: number,
  { request, stop }: CaptureCall & { kind: 'scan' },
  reply: (message: CaptureReply) => void,
): CaptureReply {
  let files: UnknownFile[] = []
  let bytes = 0
  let batches = 0
  const give = (): void => {
    reply({ kind: 'batch', batch: packBatch(request.root, job.readingBeganNs, files) })
    batches += 1
    files = []
    bytes = 0
  }
  const job = createCaptureJob(request, (file) => {
    files.push(file)
    bytes += file.entry.size
    if (files.length >= BATCH_FILES || bytes >= BATCH_BYTES) give()
  })
  let told = 0
  for (const seen of job.walk()) {
    if (Atomics.load(stop, 0) !== 0) return { kind: 'stopped' }
    if (seen - told < PATHS_PER_REPORT) continue
    told = seen
    reply({ kind: 'walked', seen })
  }
  if (batches > 0) {
    if (files.length > 0) give()
    waiting.set(id, job)
    return { kind: 'scanned' }
  }
  const hashes = new Map<number, FileHash>()
  for (const file of files) {
    if (Atomics.load(stop, 0) !== 0) return { kind: 'stopped' }
    hashes.set(file.index, hashUnknown(request.root, file, job.readingBeganNs))
  }
  return { kind: 'captured', outcome: job.finish(hashes) }
}

function hashBatch(batch: FileBatch, stop: Int32Array): CaptureReply {
  const found: (string | FileHash)[] = []
  for (const file of unpackBatch(batch)) {
    if (Atomics.load(stop, 0) !== 0) return { kind: 'stopped' }
    const hashed = hashUnknown(batch.root, file, batch.readingBeganNs)
    const isAsExpected = hashed.outcome === 'hashed' && hasSameFacts(hashed.entry, file.entry)
    found.push(isAsExpected ? hashed.entry.content : hashed)
  }
  return { kind: 'hashed', hashes: { batch, found } }
}

function collectHashes(batches: readonly HashedBatch[]): Map<number, FileHash> {
  const hashes = new Map<number, FileHash>()
  for (const { batch, found } of batches) {
    for (const [row, { index, entry }] of unpackBatch(batch).entries()) {
      const result = found[row]
      if (typeof result === 'string') {
        const settled = isSettled(entry.ctimeNs, batch.readingBeganNs)
        hashes.set(index, { outcome: 'hashed', entry: { ...entry, content: result, settled } })
      } else if (result !== undefined) hashes.set(index, result)
    }
  }
  return hashes
}
