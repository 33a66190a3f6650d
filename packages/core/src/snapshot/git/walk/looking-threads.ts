import type { ThreadKind } from '../../../bundle/warm-threads.ts'
import { threadFile } from '../../../thread-file.ts'
import type { RowsToCompare } from '../table/changed-rows.ts'
import type { RowsToStamp } from '../table/stamped-rows.ts'

/** Rows that a thread can look at. */
export type LookTask = RowsToCompare | RowsToStamp

/** The threads that look at files and directories for a capture; see `stat-worker.ts`. */
export const lookingThreads: ThreadKind = {
  name: 'ws-stat',
  file: threadFile(import.meta.url, 'stat-worker'),
}
