import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { acquireProcessLock, type ProcessLock } from '../filesystem/process-lock.ts'
import { prepareStateDirectory } from '../filesystem/state-directory.ts'
import { remakeRoot, resolveWorkspaceRoot } from '../filesystem/workspace-root.ts'
import { attachPatch, computeDiff } from '../snapshot/compute-diff.ts'
import type { Snapshot, WorkspaceDiff } from '../snapshot/snapshot.ts'
import type { RollbackResult, SnapshotBackend } from '../snapshot/snapshot-backend.ts'
import { makeDirectory } from '../workspace/made-directory.ts'
import { Workspace } from '../workspace/workspace.ts'
import { assertCanRollBack, assertCanSave, assertRunOptions } from './assert-run-options.ts'
import { runAgent, type AgentRun } from './run-agent.ts'
import { createRunLog } from './run-log.ts'
import type { Agent, RunOptions } from './run-options.ts'
import { recordError, recordWorkspace } from './run-record.ts'
import type { RunOutcome, RunResult, RunWorkspace } from './run-result.ts'
import { loadVersion, saveVersion, type Run } from './run-versions.ts'

const DEFAULT_ABORT_GRACE_MS = 5_000

/**
 * Runs an agent in a workspace and tells what it did there.
 *
 * In this order: pick the snapshot backend and refuse what cannot work; (load a saved version); snapshot `before`;
 * the agent; snapshot `after` or `after_failure`; diff; patch; (rollback, when asked for and the agent failed);
 * (save); record.
 *
 * The agent's failure does not reject: it is `result.error`. A problem with the workspace after the agent has run does
 * not reject either and never hides what the agent did: it is `result.workspace.error`, and the steps after it that
 * can still be done are done. What goes wrong before the agent starts rejects, and then the agent has not run.
 *
 * Runs of one workspace exclude each other, also between processes that share a state directory. Once the agent has
 * started, the caller's signal aborts only the agent: what has to be seen, undone and recorded afterwards still is.
 * An aborted agent that does not stop within `abortGraceMs` is left alone; its directory is not rolled back under it
 * (`workspace.error` is `BUSY`), and the workspace stays locked until it stops. A directory that the agent removed is made
 * anew, empty, so that it can be compared and filled again; a warning says so.
 *
 * @throws `INVALID_INPUT`, `NOT_FOUND`, `UNSUPPORTED`, `BUSY`, `ACCESS_DENIED` and what loading and capturing throw
 */
export async function executeRun<T>(
  workspace: Workspace | string,
  agent: Agent<T>,
  options: RunOptions = {},
): Promise<RunResult<T>> {
  const run = startRun(workspace, agent, options)
  if (options.enabled === false) {
    const { outcome } = await callAgent(run, agent, run.workspace.path, null)
    return finishRun(run, outcome, null)
  }

  const lock = await lockWorkspace(run)
  let agentRun: AgentRun<T> | undefined
  try {
    const { rollbackOnFailure = false, strategy, ignore, limits, precious } = options
    const backend = await run.workspace.openBackend({
      strategy,
      ignore,
      limits,
      precious,
      needsRollback: rollbackOnFailure !== false,
    })
    assertCanRollBack(backend, rollbackOnFailure)
    run.log.emit({ type: 'run_started', path: run.workspace.path })
    const loaded = await loadVersion(run)
    const before = await capture(run, backend, 'before')
    const { mode } = await stat(before.path)

    agentRun = await callAgent(run, agent, before.path, before)
    run.log.emit({ type: 'run_agent_finished', status: agentRun.outcome.status })

    const seen = await see(run, backend, { ...before, mode }, agentRun)
    const saved = await saveVersion(run, agentRun.outcome, loaded)
    return finishRun(run, agentRun.outcome, { ...seen, ...(loaded && { loaded }), ...(saved && { saved }) })
  } finally {
    if (agentRun?.stillRunning) void agentRun.stillRunning.then(() => lock.release())
    else await lock.release()
  }
}

/** The workspaces that the current chain of calls has locked, so that a nested run is refused instead of waiting for ever. */
const lockedPaths = new AsyncLocalStorage<readonly string[]>()

function startRun(workspace: Workspace | string, agent: unknown, options: RunOptions): Run {
  assertRunOptions(options)
  options.signal?.throwIfAborted()
  if (typeof agent !== 'function') {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `The agent must be a function, not ${agent === null ? 'null' : `of type ${typeof agent}`}. Start a process in it, if that is what should run.`,
    )
  }
  const resolved = Workspace.of(workspace)
  assertCanSave(resolved, options)
  const id = options.runId ?? randomUUID()
  return {
    id,
    workspace: resolved,
    options,
    log: createRunLog({
      runId: id,
      workspaceId: resolved.id,
      onEvent: options.onEvent,
      onProgress: options.onProgress,
    }),
  }
}

async function lockWorkspace(run: Run): Promise<ProcessLock> {
  const { load, onBusy, waitTimeoutMs, signal } = run.options
  if (load !== undefined && load !== false) await makeDirectory(run.workspace.path)
  const path = await resolveWorkspaceRoot(run.workspace.path)
  if (lockedPaths.getStore()?.includes(path)) {
    throw new WorkspaceError(
      'BUSY',
      `The agent of a run on ${path} started another run on it, which would wait for itself. Run the two one after the other.`,
      { details: { path } },
    )
  }
  const stateDirectory = await prepareStateDirectory(path, run.workspace.stateDir)
  const lock = await acquireProcessLock(join(stateDirectory, 'locks'), 'run', {
    activity: `a run of ${path}`,
    onBusy,
    waitTimeoutMs,
    signal,
  })
  if (lock.recoveredFrom !== null) {
    run.log.warn(
      `An earlier run (process ${lock.recoveredFrom}) ended without cleaning up; its lock was taken over.`,
    )
  }
  return lock
}

async function callAgent<T>(
  run: Run,
  agent: Agent<T>,
  path: string,
  before: Snapshot | null,
): Promise<AgentRun<T>> {
  const { signal, timeoutMs, abortGraceMs = DEFAULT_ABORT_GRACE_MS } = run.options
  signal?.throwIfAborted()
  const locked = [...(lockedPaths.getStore() ?? []), path]
  const call = (agentSignal: AbortSignal) =>
    lockedPaths.run(locked, () =>
      agent({ runId: run.id, workspace: run.workspace, path, before, signal: agentSignal }),
    )
  return runAgent(call, { signal, timeoutMs, abortGraceMs })
}

async function capture(run: Run, backend: SnapshotBackend, label: 'before'): Promise<Snapshot>
async function capture(
  run: Run,
  backend: SnapshotBackend,
  label: 'after' | 'after_failure',
  previous: Snapshot,
): Promise<Snapshot>
async function capture(
  run: Run,
  backend: SnapshotBackend,
  label: 'before' | 'after' | 'after_failure',
  previous?: Snapshot,
): Promise<Snapshot> {
  const snapshot = await backend.capture({
    label,
    previous,
    onProgress: run.log.progressOf(label === 'before' ? 'before-snapshot' : 'after-snapshot'),
    ...(previous === undefined && { signal: run.options.signal }),
  })
  for (const note of snapshot.notes ?? []) run.log.warn(note)
  run.log.emit({ type: 'workspace_snapshot_taken', label, backend: backend.name, ref: snapshot.ref })
  return snapshot
}

/** Everything that is learnt and undone after the agent. Each step that fails is noted, and the next one is tried. */
async function see(
  run: Run,
  backend: SnapshotBackend,
  { mode, ...before }: Snapshot & { readonly mode: number },
  { outcome, stillRunning }: AgentRun<unknown>,
): Promise<RunWorkspace> {
  const { log, options } = run
  const isFailure = outcome.status !== 'completed'
  const after = await log.attempt('after-snapshot', () => {
    if (stillRunning === null && remakeRoot(before.path, mode))
      log.warn(`The agent has removed ${before.path}. It was made anew, empty.`)
    return capture(run, backend, isFailure ? 'after_failure' : 'after', before)
  })
  const diff = after === null ? null : await diffAndPatch(run, backend, before, after)

  let rollback: RollbackResult | null = null
  const { rollbackOnFailure = false } = options
  if (isFailure && rollbackOnFailure !== false) {
    rollback = await log.attempt('rollback', async () => {
      if (stillRunning !== null) throw agentStillRunning(before.path)
      const rollbackOptions = rollbackOnFailure === true ? {} : rollbackOnFailure
      return backend.rollback(before, {
        ...rollbackOptions,
        expected: after ?? undefined,
        onProgress: log.progressOf('rollback'),
      })
    })
    if (rollback !== null) {
      const { restored, deleted, verified } = rollback
      log.emit({
        type: 'workspace_rolled_back',
        restored: restored.length,
        deleted: deleted.length,
        verified,
      })
    }
  }
  return {
    backend: backend.name,
    beforeSnapshot: before,
    afterSnapshot: after,
    diff,
    ...(rollback && { rollback }),
  }
}

async function diffAndPatch(
  run: Run,
  backend: SnapshotBackend,
  before: Snapshot,
  after: Snapshot,
): Promise<WorkspaceDiff | null> {
  const { log, options } = run
  const { capturePatch, maxPatchBytes, artifactStore } = options
  const changes = await log.attempt('diff', () => computeDiff(backend, before, after))
  if (changes === null) return null
  const patched = await log.attempt('patch', () =>
    attachPatch(changes, backend, before, after, { capturePatch, maxPatchBytes, artifactStore }),
  )
  const diff = patched ?? changes
  const { filesChanged, insertions, deletions } = diff
  log.emit({
    type: 'workspace_diff_computed',
    filesChanged,
    insertions,
    deletions,
    hasPatch: diff.patchBytes !== null,
  })
  return diff
}

function finishRun<T>(run: Run, outcome: RunOutcome<T>, seen: RunWorkspace | null): RunResult<T> {
  const error = run.log.firstError()
  const workspace = seen === null || error === null ? seen : { ...seen, error }
  const timing = run.log.finish(outcome.status)
  const record = {
    runId: run.id,
    workspaceId: run.workspace.id,
    path: run.workspace.path,
    status: outcome.status,
    ...timing,
    error: outcome.status === 'completed' ? null : recordError(outcome.error),
    workspace: workspace === null ? null : recordWorkspace(workspace),
    warnings: run.log.warnings(),
    metadata: run.options.metadata ?? {},
  }
  return { ...outcome, runId: run.id, workspace, record }
}

function agentStillRunning(path: string): WorkspaceError {
  return new WorkspaceError(
    'BUSY',
    `The aborted agent is still running in ${path}, so nothing was rolled back. Stop it, then call workspace.rollback with the before-snapshot.`,
    { details: { path } },
  )
}
