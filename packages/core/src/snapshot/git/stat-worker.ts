/** A thread that looks at files; see `spread-rows.ts` for who talks to it. */
import { parentPort } from 'node:worker_threads'
import type { ThreadTask } from '../../bundle/warm-threads.ts'
import { compareInThread, type RowsToCompare } from './changed-rows.ts'
import { stampInThread, type RowsToStamp } from './stamped-rows.ts'

parentPort?.on('message', ({ task, port }: ThreadTask) => {
  const rows = task as RowsToCompare | RowsToStamp
  try {
    if (rows.kind === 'compare') compareInThread(rows)
    else stampInThread(rows)
  } catch {
    // Whoever asked looks at what is left, and sees the same.
  }
  port.postMessage(null)
})
