import type { ThreadKind } from '../../../bundle/warm-threads.ts'
import type { RowsToCompare } from '../table/changed-rows.ts'
import type { RowsToStamp } from '../table/stamped-rows.ts'

/** Rows that a thread can look at. */
export type LookTask = RowsToCompare | RowsToStamp

const file = import.meta.url.endsWith('.ts') ? './stat-worker.ts' : './stat-worker.js'

/** The threads that look at files and directories for a capture; see `stat-worker.ts`. */
export const lookingThreads: ThreadKind = { name: 'ws-stat', file: new URL(file, import.meta.url) }
