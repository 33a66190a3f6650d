import { WorkspaceError } from '../errors.ts'
import type { WorkspaceDiff } from '../snapshot/snapshot.ts'
import type { RecordedDiff, RecordedError, RecordedWorkspace, RunWorkspace } from './run-result.ts'

const MAX_PATHS = 1_000
const MAX_MESSAGE_LENGTH = 2_000

/** The compact form of what happened around the agent. */
export function recordWorkspace(workspace: RunWorkspace): RecordedWorkspace {
  const { rollback } = workspace
  return {
    backend: workspace.backend,
    beforeRef: workspace.beforeSnapshot.ref,
    afterRef: workspace.afterSnapshot?.ref ?? null,
    diff: workspace.diff === null ? null : recordDiff(workspace.diff),
    rollback:
      rollback === undefined
        ? null
        : {
            restored: rollback.restored.length,
            deleted: rollback.deleted.length,
            kept: rollback.kept.length,
            merged: rollback.merged.length,
            verified: rollback.verified,
            guardRef: rollback.guard?.ref ?? null,
            safetyRefs: (rollback.git?.safetyRefs ?? []).slice(0, MAX_PATHS).map(({ name }) => name),
          },
    loadedVersion: workspace.loaded?.version.version ?? null,
    savedVersion: workspace.saved?.version.version ?? null,
    error: workspace.error === undefined ? null : recordError(workspace.error),
  }
}

/** The compact form of anything that was thrown, be it something that throws when it is looked at. */
export function recordError(error: unknown): RecordedError {
  try {
    const code = WorkspaceError.is(error) ? error.code : null
    if (!(error instanceof Error))
      return { name: typeof error, code, message: describe(error).slice(0, MAX_MESSAGE_LENGTH) }
    return { name: String(error.name), code, message: String(error.message).slice(0, MAX_MESSAGE_LENGTH) }
  } catch {
    return { name: typeof error, code: null, message: 'What was thrown cannot be looked at.' }
  }
}

function recordDiff(diff: WorkspaceDiff): RecordedDiff {
  return {
    filesChanged: diff.filesChanged,
    insertions: diff.insertions,
    deletions: diff.deletions,
    changedPaths: diff.changedPaths.slice(0, MAX_PATHS),
    patchRef: diff.patchRef,
    patchBytes: diff.patchBytes,
    patchSha256: diff.patchSha256,
  }
}

function describe(value: unknown): string {
  if (typeof value === 'string') return value
  try {
    return JSON.stringify(value) ?? String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}
