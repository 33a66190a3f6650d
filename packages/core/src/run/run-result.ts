import type { WorkspaceLoadResult, WorkspaceSaveResult } from '../bundle/bundle-store.ts'
import type { ErrorCode, WorkspaceError } from '../errors.ts'
import type { Snapshot, SnapshotBackendName, WorkspaceDiff } from '../snapshot/snapshot.ts'
import type { RollbackResult } from '../snapshot/snapshot-backend.ts'

export type RunStatus = 'completed' | 'failed' | 'aborted'

/** What came of a run. The same shape whatever happened to the agent. */
export type RunResult<T> = RunOutcome<T> & {
  readonly runId: string
  /** `null` when the workspace flow was switched off. */
  readonly workspace: RunWorkspace | null
  /** The summary that a host stores. */
  readonly record: RunRecord
}

export type RunOutcome<T> =
  | { readonly status: 'completed'; readonly value: T; readonly error?: undefined }
  /** `error` is what the agent threw. */
  | { readonly status: 'failed'; readonly error: unknown; readonly value?: undefined }
  /** `error` is the signal's reason, or a `TIMEOUT`. */
  | { readonly status: 'aborted'; readonly error: unknown; readonly value?: undefined }

export interface RunWorkspace {
  readonly backend: SnapshotBackendName
  readonly beforeSnapshot: Snapshot
  /** `null` when it could not be taken; `error` says why. */
  readonly afterSnapshot: Snapshot | null
  /** `null` when it could not be computed; `error` says why. */
  readonly diff: WorkspaceDiff | null
  /** Present when a rollback was made. */
  readonly rollback?: RollbackResult
  readonly loaded?: WorkspaceLoadResult
  readonly saved?: WorkspaceSaveResult
  /** The first thing that went wrong around the agent. Later ones are in the record's warnings. */
  readonly error?: WorkspaceError
}

/** JSON-safe and compact: no file contents, at most 1,000 paths. */
export interface RunRecord {
  readonly runId: string
  readonly workspaceId: string
  readonly path: string
  readonly status: RunStatus
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly finishedAt: string
  readonly durationMs: number
  readonly error: RecordedError | null
  readonly workspace: RecordedWorkspace | null
  readonly warnings: readonly string[]
  readonly metadata: Readonly<Record<string, unknown>>
}

export interface RecordedWorkspace {
  readonly backend: SnapshotBackendName
  readonly beforeRef: string
  readonly afterRef: string | null
  readonly diff: RecordedDiff | null
  readonly rollback: {
    readonly restored: number
    readonly deleted: number
    /** Foreign edits that were left alone, and that were merged. */
    readonly kept: number
    readonly merged: number
    readonly verified: boolean
    readonly guardRef: string | null
    /** Refs that keep what the run had committed reachable, with `restoreGit`. */
    readonly safetyRefs: readonly string[]
  } | null
  readonly loadedVersion: number | null
  readonly savedVersion: number | null
  readonly error: RecordedError | null
}

export interface RecordedDiff {
  readonly filesChanged: number
  readonly insertions: number
  readonly deletions: number
  /** The first 1,000, in path order; `filesChanged` is the whole number. */
  readonly changedPaths: readonly string[]
  readonly patchRef: string | null
  readonly patchBytes: number | null
  readonly patchSha256: string | null
}

export interface RecordedError {
  readonly name: string
  readonly code: ErrorCode | null
  /** At most 2,000 characters. */
  readonly message: string
}
