import { randomUUID } from 'node:crypto'
import { WorkspaceError } from '../errors.ts'
import { Workspace } from '../workspace/workspace.ts'
import { assertRecordOptions } from './assert-run-options.ts'
import { executeRun } from './execute-run.ts'
import type { Agent, RunOptions } from './run-options.ts'
import { recordError } from './run-record.ts'
import type { RunRecordStore } from './run-record-store.ts'
import type { RunRecord, RunResult } from './run-result.ts'

export interface RunOnceOptions extends RunOptions {
  /** Where the run's record is kept. */
  readonly records: RunRecordStore
}

/**
 * Like `executeRun`, with a record kept from the beginning: a record with status `running` is stored before anything
 * else, and replaced by the final one. A run that was killed leaves its `running` record; a run that could not start
 * leaves a `failed` one, and this call rejects with the reason.
 *
 * When the final record cannot be stored, the result comes back all the same, with a warning in its record.
 * @throws what `executeRun` throws, and what the record store throws for the first record; `INVALID_INPUT` without a record
 * store, before anything is done: to run without records is what `executeRun` is for
 */
export async function runOnce<T>(
  workspace: Workspace | string,
  agent: Agent<T>,
  options: RunOnceOptions,
): Promise<RunResult<T>> {
  assertHasRecords(options)
  assertRecordOptions(options)
  const { records, ...runOptions } = options
  const resolved = Workspace.of(workspace)
  const runId = options.runId ?? randomUUID()
  const started = {
    runId,
    workspaceId: resolved.id,
    path: resolved.path,
    startedAt: new Date().toISOString(),
    metadata: options.metadata ?? {},
  }
  await records.put({ ...started, status: 'running' })
  const result = await executeRun(resolved, agent, { ...runOptions, runId }).catch(async (error: unknown) => {
    const finishedAt = new Date()
    const failed: RunRecord = {
      ...started,
      status: options.signal?.aborted === true ? 'aborted' : 'failed',
      finishedAt: finishedAt.toISOString(),
      durationMs: finishedAt.getTime() - Date.parse(started.startedAt),
      error: recordError(error),
      workspace: null,
      warnings: [],
    }
    // The reason why the run could not start matters more than a record that could not be written.
    await records.put(failed).catch(() => undefined)
    throw error
  })
  try {
    await records.put(result.record)
    return result
  } catch (error) {
    const warning = `The final record could not be stored: ${recordError(error).message}`
    return { ...result, record: { ...result.record, warnings: [...result.record.warnings, warning] } }
  }
}

/** Callers without types, who may give the store itself in the place of its records. */
function assertHasRecords(options: Partial<RunOnceOptions> | undefined): void {
  const records = options?.records
  if (typeof records?.put === 'function' && !('capabilities' in records)) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    'runOnce needs the option records, a store for its records: createRunRecordStore(store) makes one. For a run without records call executeRun.',
    { details: { option: 'records' } },
  )
}
