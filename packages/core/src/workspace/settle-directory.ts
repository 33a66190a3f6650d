import type { SaveOptions } from '../bundle/bundle-store.ts'
import { endKilledRollbacks } from '../snapshot/end-killed-rollbacks.ts'
import { openSnapshotBackend, type OpenSnapshotBackendOptions } from '../snapshot/open-snapshot-backend.ts'
import type { SnapshotBackend } from '../snapshot/snapshot-backend.ts'
import { findState, prepareCacheDirectory, type FoundState } from './find-state.ts'
import type { WorkspaceOptions } from './workspace-options.ts'

type Settled = Pick<WorkspaceOptions, 'path' | 'stateDir' | 'limits' | 'precious'>

/**
 * See {@link endKilledRollbacks}. A state directory that cannot be used keeps nobody from saving and loading.
 * @throws `INVALID_INPUT` as {@link findState}
 */
export async function settleDirectory(
  workspace: Settled,
  signal: AbortSignal | undefined,
): Promise<FoundState | undefined> {
  const state = await findState(workspace)
  const { limits, precious } = workspace
  if (state !== undefined) await endKilledRollbacks({ ...state, limits, precious, signal })
  return state
}

/** A backend that finds nothing half done. */
export async function openSettledBackend(options: OpenSnapshotBackendOptions): Promise<SnapshotBackend> {
  const backend = await openSnapshotBackend(options)
  const { path, stateDirectory, limits, precious } = options
  await endKilledRollbacks({ path, stateDirectory, limits, precious, except: backend.name })
  return backend
}

/**
 * For a save or load, that finds nothing half done then: what it is given, and of the workspace what it is not given;
 * `undefined` is not given.
 */
export async function settleFor<Given extends Pick<SaveOptions, 'exclude' | 'cacheDirectory' | 'signal'>>(
  workspace: Settled & Pick<WorkspaceOptions, 'exclude'>,
  given: Given,
): Promise<Given> {
  const state = await settleDirectory(workspace, given.signal)
  const { exclude = workspace.exclude, cacheDirectory = await prepareCacheDirectory(state) } = given
  return { ...given, exclude, cacheDirectory }
}
