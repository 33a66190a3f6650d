import { loadOptionNames } from '../bundle/option-names.ts'
import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions } from '../known-options.ts'
import { assertRollbackOptions } from '../snapshot/rollback/assert-rollback-options.ts'
import type { SnapshotBackend } from '../snapshot/snapshot-backend.ts'
import { noStore } from '../workspace/no-store.ts'
import type { Workspace } from '../workspace/workspace.ts'
import { runOptionNames, runRollbackOptionNames, runSaveOptionNames, type RunOptions } from './run-options.ts'

/**
 * Refuses what a caller without types may pass, before anything is done.
 * @throws `INVALID_INPUT` naming the option
 */
export function assertRunOptions(options: RunOptions): void {
  assertKnownOptions('executeRun', options, runOptionNames)
  const { load } = options
  if (typeof load === 'object') assertKnownOptions('load', load, loadOptionNames)
  assertSave(options.save)
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
