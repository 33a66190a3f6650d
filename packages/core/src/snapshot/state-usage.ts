import type { SnapshotBackendName } from './snapshot.ts'

/** What the snapshots of one workspace and backend take of the disk. JSON-safe. */
export interface SnapshotStorage {
  readonly backend: SnapshotBackendName
  /** Of the disk. What the user's own repository holds too, as hard links, is not counted: it takes nothing. */
  readonly bytes: number
  /** The budget. */
  readonly maxBytes: number
  /** Snapshots that can be compared with, and rolled back to where the backend can. */
  readonly snapshots: number
  /** What a collection would free now. */
  readonly reclaimableBytes: number
}

/** What a collection did, or in a dry run would do, for one backend. JSON-safe. */
export interface SnapshotCollection extends SnapshotStorage {
  /** Snapshots that it removed; they are `NOT_FOUND` from then on. `snapshots` and `bytes` say what was left. */
  readonly removed: readonly RemovedSnapshot[]
  readonly freedBytes: number
}

export interface RemovedSnapshot {
  /** Absent for the hash and bundle backends, which keep one state for several snapshots that are equal. */
  readonly id?: string
  readonly ref: string
  readonly label?: string
  readonly capturedAt: string
}

export interface CollectBackendOptions {
  readonly maxBytes: number
  readonly dryRun: boolean
  /** Milliseconds since 1970. */
  readonly now: number
  /** When the run that is going on in the workspace began; `null` when none is. */
  readonly runningSince: number | null
  readonly signal?: AbortSignal | undefined
}
