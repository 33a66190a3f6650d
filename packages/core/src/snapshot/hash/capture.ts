import type { FileHash } from '../../filesystem/scan-file-hash.ts'
import { timeSlice } from '../../filesystem/time-slice.ts'
import {
  createCaptureJob,
  hashUnknown,
  type CaptureCallOptions,
  type CaptureOutcome,
  type CaptureRequest,
  type UnknownFile,
} from './capture-job.ts'
import { captureInThreads, ThreadsUnavailable } from './capture-threads.ts'

/** What is captured without threads: their start costs as much as this much work. */
const INLINE_PATHS = 2000
const INLINE_HASHED_BYTES = 4 * 1024 * 1024
const SLICE_MS = 5

/** Roots that were too big for the thread of the caller when they were captured last. */
const bigRoots = new Set<string>()

/** Captures a small directory in slices on the caller's thread, a big one in worker threads. */
export async function capture(
  request: CaptureRequest,
  { onProgress, signal }: CaptureCallOptions = {},
): Promise<CaptureOutcome> {
  if (!bigRoots.has(request.root)) {
    const outcome = await captureInSlices(request, true, { onProgress, signal })
    if (outcome !== null) return outcome
    if (bigRoots.size >= 1000) bigRoots.clear()
    bigRoots.add(request.root)
  }
  try {
    return await captureInThreads(request, { onProgress, signal })
  } catch (error) {
    if (!(error instanceof ThreadsUnavailable)) throw error
    const outcome = await captureInSlices(request, false, { onProgress, signal })
    if (outcome === null) throw error
    return outcome
  }
}

/** @returns null when `bounded` and the directory turns out to be big. */
async function captureInSlices(
  request: CaptureRequest,
  bounded: boolean,
  { onProgress, signal }: CaptureCallOptions,
): Promise<CaptureOutcome | null> {
  signal?.throwIfAborted()
  const slice = timeSlice(signal, SLICE_MS)
  const files: UnknownFile[] = []
  let bytes = 0
  const job = createCaptureJob(request, (file) => {
    files.push(file)
    bytes += file.entry.size
  })
  for (const seen of job.walk()) {
    onProgress?.({ phase: 'look', filesDone: seen, filesExpected: null, bytesDone: 0 })
    if (bounded && (seen > INLINE_PATHS || bytes > INLINE_HASHED_BYTES)) return null
    await slice.pauseWhenDue()
  }
  if (bounded && bytes > INLINE_HASHED_BYTES) return null
  const hashes = new Map<number, FileHash>()
  let bytesDone = 0
  for (const file of files) {
    hashes.set(file.index, hashUnknown(request.root, file, job.readingBeganNs))
    bytesDone += file.entry.size
    onProgress?.({ phase: 'read', filesDone: hashes.size, filesExpected: files.length, bytesDone })
    await slice.pauseWhenDue()
  }
  return job.finish(hashes)
}
