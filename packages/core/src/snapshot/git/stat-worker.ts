/** A thread that looks at captured files; see `find-changed-rows.ts` for who talks to it. */
import { parentPort } from 'node:worker_threads'
import type { ThreadTask } from '../../bundle/warm-threads.ts'
import { compareInThread, type RowsToCompare } from './changed-rows.ts'

parentPort?.on('message', ({ task, port }: ThreadTask) => {
  try {
    compareInThread(task as RowsToCompare)
  } catch {
    // Whoever asked looks at what is left, and sees the same.
  }
  port.postMessage(null)
})
