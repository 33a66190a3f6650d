import type { ErrorCode } from '../errors.ts'
import type { SnapshotBackendName } from '../snapshot/snapshot.ts'
import type { RunStatus } from './run-result.ts'

/** JSON-safe. A run emits its events in this order; those in brackets only where they apply. */
export type RunEvent = RunEventFacts &
  (
    | { readonly type: 'run_started'; readonly path: string }
    | { readonly type: 'workspace_loaded'; readonly version: number | null }
    | WorkspaceSnapshotTaken
    | { readonly type: 'run_agent_finished'; readonly status: RunStatus }
    | WorkspaceDiffComputed
    | WorkspaceRolledBack
    | { readonly type: 'workspace_saved'; readonly version: number }
    | WorkspaceStepFailed
    | { readonly type: 'run_finished'; readonly status: RunStatus; readonly durationMs: number }
  )

export interface RunEventFacts {
  readonly runId: string
  readonly workspaceId: string
  /** ISO 8601, UTC. */
  readonly at: string
}

/** Twice in every run that gets as far as its end: `before`, then `after` or `after_failure`. */
export interface WorkspaceSnapshotTaken {
  readonly type: 'workspace_snapshot_taken'
  readonly label: 'before' | 'after' | 'after_failure'
  readonly backend: SnapshotBackendName
  readonly ref: string
}

/** Once. `hasPatch` is true wherever the patch went: into the result, into the artifact store, or nowhere for its size. */
export interface WorkspaceDiffComputed {
  readonly type: 'workspace_diff_computed'
  readonly filesChanged: number
  readonly insertions: number
  readonly deletions: number
  readonly hasPatch: boolean
}

export interface WorkspaceRolledBack {
  readonly type: 'workspace_rolled_back'
  readonly restored: number
  readonly deleted: number
  readonly verified: boolean
}

/** A step around the agent did not work. The agent's own result is not affected. */
export interface WorkspaceStepFailed {
  readonly type: 'workspace_step_failed'
  readonly step: RunStep
  readonly code: ErrorCode
  readonly message: string
}

export type RunStep = 'after-snapshot' | 'diff' | 'patch' | 'rollback' | 'save'
