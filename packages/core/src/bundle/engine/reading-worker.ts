/** A thread that reads small files for a save; see `reading-thread.ts` for who talks to it. */
import { Buffer } from 'node:buffer'
import { workerData } from 'node:worker_threads'
import { contentIdOf } from '../format/content-id.ts'
import { readStats, type ReadBatch, type ReadBatchAnswer, type ReadingWorkerData } from './read-batch.ts'
import { readSmallFile } from './read-content.ts'

const { port } = workerData as ReadingWorkerData

port.on('message', ({ batch, paths, stats, memory, keys }: ReadBatch) => {
  let start = 0
  const ids = paths.split('\0').map((path, index) => {
    const expected = readStats(stats, index)
    const content = Buffer.from(memory, start, expected.size)
    start += expected.size
    return readSmallFile(path, expected, content) ? contentIdOf(content, keys) : null
  })
  port.postMessage({ batch, ids } satisfies ReadBatchAnswer)
})
