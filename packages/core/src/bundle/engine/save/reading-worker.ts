/** A thread that reads files for a save; see `reading-thread.ts` for who talks to it. */
import { Buffer } from 'node:buffer'
import { lstatSync } from 'node:fs'
import { workerData } from 'node:worker_threads'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, openChunker } from '../../format/chunker.ts'
import { contentIdOf } from '../../format/content-id.ts'
import { copyBytes } from '../../copy-bytes.ts'
import { toFilePath } from '../../../filesystem/directory-handle.ts'
import { fillBuffer } from '../../../filesystem/fill-buffer.ts'
import { readWhole } from './read-content.ts'
import {
  LOOKED_FIELDS,
  meeting,
  readStats,
  type CutBlock,
  type IdentifyRuns,
  type LookBack,
  type ReadingAnswer,
  type ReadingRequest,
  type ReadingWorkerData,
  type ReadFiles,
  writeLooked,
} from './reading-messages.ts'

const { port } = workerData as ReadingWorkerData

port.on('message', (message: ReadingRequest & { readonly request: number }) => {
  port.postMessage({ request: message.request, ...answerTo(message) })
})

function answerTo(request: ReadingRequest): ReadingAnswer {
  if (request.kind === 'files') return readFiles(request)
  if (request.kind === 'look') return lookBack(request)
  return request.kind === 'cut' ? cutBlock(request) : identifyRuns(request)
}

function readFiles({ paths, stats, memory, chunker: chunkerMemory, keys }: ReadFiles): ReadingAnswer {
  const chunker = chunkerMemory === null ? null : openChunker(chunkerMemory)
  const ids: string[] = []
  const ends: number[] = []
  let start = 0
  const counts = paths.split('\0').map((path, index) => {
    const expected = readStats(stats, index)
    const { size } = expected
    const before = ids.length
    const content = Buffer.from(memory, start, size)
    const cutting = size > MIN_CHUNK_BYTES ? chunker : null
    const target = cutting === null ? content : cutting.buffer.subarray(0, size)
    if (readWhole(path, expected, target)) {
      for (let first = 0; first < size; first = (ends.at(-1) ?? 0) - start) {
        const end = cutting === null ? size : cutting.cut(first, size)
        ids.push(contentIdOf(target.subarray(first, end), keys))
        ends.push(start + end)
      }
      if (cutting !== null) copyBytes(target, content, 0)
    }
    start += size
    return ids.length - before
  })
  return { ids, ends, counts }
}

function cutBlock({ fd, position, bytesLeft, memory, keys }: CutBlock): ReadingAnswer {
  const chunker = openChunker(memory)
  const { buffer } = chunker
  const filled = Math.min(buffer.length, bytesLeft)
  const ids: string[] = []
  const ends: number[] = []
  if (fillBuffer(fd, buffer, 0, filled, position) < filled) return { ids, ends, counts: [] }
  for (let start = 0; start < filled;) {
    const end = chunker.cut(start, filled)
    // Where the content goes on behind the block, this may be no cut.
    if (end === filled && filled < bytesLeft && end - start < MAX_CHUNK_BYTES) break
    ids.push(contentIdOf(buffer.subarray(start, end), keys))
    ends.push(end)
    start = end
  }
  return { ids, ends, counts: [] }
}

let runBuffer: Buffer | null = null

function identifyRuns({ fd, position, lengths, keys }: IdentifyRuns): ReadingAnswer {
  const buffer = (runBuffer ??= Buffer.allocUnsafeSlow(MAX_CHUNK_BYTES))
  const ids: string[] = []
  let start = position
  for (const length of lengths) {
    if (fillBuffer(fd, buffer, 0, length, start) < length) break
    ids.push(contentIdOf(buffer.subarray(0, length), keys))
    start += length
  }
  return { ids, ends: [], counts: [] }
}

function lookBack({ lists, rows, state }: LookBack): ReadingAnswer {
  let row = rows.length / LOOKED_FIELDS
  for (let place = lists.length - 1; place > Atomics.load(state, meeting.walkedTo); place -= 1) {
    const [directory = '', ...names] = lists[place]?.split('\0') ?? []
    row -= names.length
    for (const [index, name] of names.entries()) {
      if (name === '') continue
      try {
        const stats = lstatSync(toFilePath(`${directory}/${name}`), { bigint: true })
        writeLooked(rows, row + index, stats)
      } catch {
        // The walk finds out why.
      }
    }
    Atomics.store(state, meeting.lookedFrom, place)
  }
  return { ids: [], ends: [], counts: [] }
}
