import { Buffer } from 'node:buffer'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { ContentId } from '../../format/content-id.ts'
import { createChunker, MIN_CHUNK_BYTES, type Chunker } from '../../format/chunker.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { FileStats } from '../known/file-stats.ts'
import {
  MAX_BATCH_BYTES,
  MAX_BATCH_FILES,
  newStatsRows,
  writeStats,
  type ReadingAnswer,
} from './reading-messages.ts'
import type { ReadingThread } from './reading-thread.ts'

/** A chunk of a file; the content is overwritten later. */
interface ReadChunk {
  readonly id: ContentId
  readonly content: Buffer
}

/** What became of a file that was read in the other thread: `null` when it is to be read here after all. */
type TakeFile = (chunks: readonly ReadChunk[] | null) => void

/** Reads files of one save, of at most `MAX_BATCH_BYTES`, in another thread while this one goes on. */
export interface FilesAhead {
  /** False when the other thread has enough to do: then the file is to be read here. `take` is called by the other methods. */
  offer(path: ByteString, stats: FileStats, take: TakeFile): boolean
  /** Hands on what has been read so far; true when that was something. */
  takeReady(): boolean
  /** Resolves when something is ready; `null` when nothing is left to come. */
  next(): Promise<void> | null
}

/** In flight; while the other thread reads one, the next waits for it and the last is being packed. */
const MAX_BATCHES = 3

interface Batch {
  readonly memory: SharedArrayBuffer
  readonly files: { readonly path: ByteString; readonly stats: FileStats; readonly take: TakeFile }[]
  bytes: number
}

export function readFilesAhead(thread: ReadingThread, keys: RepositoryKeys | null): FilesAhead {
  const spare: SharedArrayBuffer[] = []
  const ready: { readonly batch: Batch; readonly answer: ReadingAnswer | null }[] = []
  let made = 0
  let inFlight = 0
  let open: Batch | null = null
  let wake: (() => void) | undefined
  /** One for all batches: they are read one after the other. */
  let chunker: Chunker | null = null
  const canCut = (): boolean => (chunker ??= createChunker(keys, MAX_BATCH_BYTES)).memory !== null
  const takeMemory = (): SharedArrayBuffer | undefined => {
    if (spare.length > 0 || made >= MAX_BATCHES) return spare.pop()
    made += 1
    return new SharedArrayBuffer(MAX_BATCH_BYTES)
  }
  const send = (batch: Batch): void => {
    open = null
    inFlight += 1
    const { files, memory } = batch
    const stats = newStatsRows(files.length)
    files.forEach((file, index) => writeStats(stats, index, file.stats))
    const paths = files.map(({ path }) => path).join('\0')
    const isCut = files.some((file) => file.stats.size > MIN_CHUNK_BYTES)
    const cutting = isCut ? (chunker?.memory ?? null) : null
    thread.send({ kind: 'files', paths, stats, memory, chunker: cutting, keys }, (answer) => {
      inFlight -= 1
      ready.push({ batch, answer })
      wake?.()
    })
  }
  return {
    offer(path, stats, take) {
      const { size } = stats
      if (size > MIN_CHUNK_BYTES && !canCut()) return false
      if (open !== null && open.bytes + size > MAX_BATCH_BYTES) send(open)
      if (open === null) {
        const memory = takeMemory()
        if (memory === undefined) return false
        open = { memory, files: [], bytes: 0 }
      }
      open.files.push({ path, stats, take })
      open.bytes += size
      if (open.files.length >= MAX_BATCH_FILES) send(open)
      return true
    },
    takeReady() {
      thread.receive()
      const next = ready.shift()
      if (next === undefined) return false
      const { batch, answer } = next
      const content = Buffer.from(batch.memory)
      let start = 0
      let taken = 0
      batch.files.forEach(({ stats, take }, index) => {
        const chunks: ReadChunk[] = []
        let first = start
        for (let left = answer?.counts[index] ?? 0; left > 0; left -= 1, taken += 1) {
          const end = answer?.ends[taken] ?? first
          chunks.push({ id: answer?.ids[taken] ?? '', content: content.subarray(first, end) })
          first = end
        }
        take(chunks.length === 0 ? null : chunks)
        start += stats.size
      })
      spare.push(batch.memory)
      return true
    },
    next() {
      if (open !== null) send(open)
      if (ready.length > 0) return Promise.resolve()
      if (inFlight === 0) return null
      return new Promise((resolve) => (wake = resolve))
    },
  }
}
