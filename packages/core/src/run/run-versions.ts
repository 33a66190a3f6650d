import type { WorkspaceLoadResult, WorkspaceSaveResult } from '../bundle/bundle-store.ts'
import { refuseTemplate } from '../bundle/engine/save/save-version.ts'
import { WorkspaceError } from '../errors.ts'
import type { Workspace } from '../workspace/workspace.ts'
import type { RunLog } from './run-log.ts'
import type { RunOptions, RunSaveOptions } from './run-options.ts'
import type { RunOutcome } from './run-result.ts'

/** A run that has begun. */
export interface Run {
  readonly id: string
  readonly workspace: Workspace
  readonly options: RunOptions
  readonly log: RunLog
}

/** Puts the version that the run starts from into the directory. `null` when it starts from what is there. */
export async function loadVersion(run: Run): Promise<WorkspaceLoadResult | null> {
  const { load, signal } = run.options
  if (load === undefined || load === false) return null
  const given = load === true ? {} : load
  await refuseOldVersion(run, given.version)
  const signals = [signal, given.signal].filter((each) => each !== undefined)
  const loaded = await run.workspace.load({
    ...given,
    signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
    onProgress: given.onProgress ?? run.log.progressOf('load'),
  })
  run.log.emit({ type: 'workspace_loaded', version: loaded?.version.version ?? null })
  if (run.options.save !== undefined) refuseTemplate(loaded?.version ?? null)
  return loaded
}

/** @throws `CONFLICT` when what the agent leaves could not be saved, for there is a later version already */
async function refuseOldVersion({ workspace, options }: Run, version: number | undefined): Promise<void> {
  const { save, signal } = options
  if (version === undefined || save === undefined) return
  if (typeof save === 'object' && save.onConflict === 'rebase') return
  for await (const latest of workspace.history({ signal })) {
    if (latest.version <= version) return
    throw new WorkspaceError(
      'CONFLICT',
      `The run would start from version ${version} of ${workspace.id}, and version ${latest.version} is there already, so that what it leaves could not be saved. Load the latest version, or save with onConflict: 'rebase'.`,
      { details: { workspaceId: workspace.id, expected: version, winner: latest.version } },
    )
  }
}

/** Saves what the agent has left, if that was asked for. `null` when nothing was saved. */
export async function saveVersion(
  run: Run,
  outcome: RunOutcome<unknown>,
  loaded: WorkspaceLoadResult | null,
): Promise<WorkspaceSaveResult | null> {
  const { save, load } = run.options
  if (save === undefined) return null
  const {
    message,
    onFailure = false,
    onConflict,
  }: RunSaveOptions = typeof save === 'string' ? { message: save } : save
  if (outcome.status !== 'completed' && !onFailure) return null
  // What was loaded is what the agent worked on: a version that somebody else saved meanwhile must not be passed over.
  const parent = load === undefined || load === false ? undefined : (loaded?.version.version ?? 0)
  const saved = await run.log.attempt('save', () =>
    run.workspace.save(message, { parent, onConflict, onProgress: run.log.progressOf('save') }),
  )
  if (saved !== null) run.log.emit({ type: 'workspace_saved', version: saved.version.version })
  return saved
}
