/** A thread that looks at files; see `spread-rows.ts` for who talks to it. */
import { parentPort } from 'node:worker_threads'
import type { ThreadTask } from '../../bundle/warm-threads.ts'
import type { RowsToCompare } from './changed-rows.ts'
import type { RowsToStamp } from './stamped-rows.ts'
import { visitRows } from './visit-rows.ts'

parentPort?.on('message', ({ task, port }: ThreadTask) => {
  try {
    visitRows(task as RowsToCompare | RowsToStamp)
  } catch {
    // Whoever asked looks at what is left, and sees the same.
  }
  port.postMessage(null)
})
