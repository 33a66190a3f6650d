import { loadOptionNames } from '../bundle/option-names.ts'
import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions } from '../known-options.ts'
import { assertRollbackOptions } from '../snapshot/rollback/assert-rollback-options.ts'
import type { SnapshotBackend } from '../snapshot/snapshot-backend.ts'
import { noStore } from '../workspace/no-store.ts'
import type { Workspace } from '../workspace/workspace.ts'
import {
  recordOptionNames,
  runOptionNames,
  runRollbackOptionNames,
  runSaveOptionNames,
  type RunOptions,
} from './run-options.ts'

/**
 * Refuses what a caller without types may pass, before anything is done.
 * @throws `INVALID_INPUT` naming the option
 */
export function assertRunOptions(options: RunOptions): void {
  assertKnownOptions('executeRun', options, runOptionNames)
  assertMetadata(options.metadata)
  const { load } = options
  if (typeof load === 'object') assertKnownOptions('load', load, loadOptionNames)
  assertSave(options.save)
}

/** What is in the first record of `runOnce`, which is stored before anything else is looked at. @throws `INVALID_INPUT` */
export function assertRecordOptions({ runId, metadata }: RunOptions): void {
  assertKnownOptions('runOnce', { runId, metadata }, recordOptionNames)
  assertMetadata(metadata)
}

/** What JSON cannot hold would fail when the record is stored, and that is after the agent has run. */
function assertMetadata(metadata: RunOptions['metadata']): void {
  for (const [key, value] of Object.entries(metadata ?? {})) {
    try {
      JSON.stringify(value)
    } catch (cause) {
      throw new WorkspaceError(
        'INVALID_INPUT',
        `The metadata of a run is stored as JSON, which cannot hold its ${describeValue(key)}. A BigInt can be given as a text; nothing may hold itself.`,
        { cause, details: { option: 'metadata', key } },
      )
    }
  }
}

/** @throws `INVALID_INPUT` before the agent runs, rather than when its work cannot be undone */
export function assertCanRollBack(backend: SnapshotBackend, rollback: RunOptions['rollbackOnFailure']): void {
  if (rollback === undefined || typeof rollback === 'boolean') return
  assertRollbackOptions('rollbackOnFailure', rollback, runRollbackOptionNames)
  if (rollback.restoreGit !== true || backend.name === 'git') return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `rollbackOnFailure.restoreGit needs the strategy "git" in a git work tree; this run would use "${backend.name}". Leave it off, or run in a repository.`,
  )
}

/** @throws `INVALID_INPUT` before the agent runs, rather than when its work is to be saved */
export function assertCanSave({ id, hasStore }: Workspace, { enabled = true, save }: RunOptions): void {
  if (save !== undefined && !hasStore && enabled) throw noStore(id, 'save after the run')
}

/** @throws `INVALID_INPUT` before the agent runs, rather than when its work is to be saved */
function assertSave(save: RunOptions['save']): void {
  if (save === undefined || typeof save === 'string') return
  if (typeof save === 'object' && save !== null) {
    assertKnownOptions('save', save, runSaveOptionNames)
    if (typeof save.message === 'string') return
  }
  throw new WorkspaceError(
    'INVALID_INPUT',
    "The option save of a run is a message, or { message: 'what the run did' }.",
    { details: { option: 'save' } },
  )
}
