import type { SaveOptions } from '../bundle/bundle-store.ts'
import { endKilledRollbacks } from '../snapshot/end-killed-rollbacks.ts'
import { openSnapshotBackend, type OpenSnapshotBackendOptions } from '../snapshot/open-snapshot-backend.ts'
import type { SnapshotBackendName } from '../snapshot/snapshot.ts'
import type { SnapshotBackend } from '../snapshot/snapshot-backend.ts'
import { findState, prepareCacheDirectory } from './prepare-cache-directory.ts'
import type { WorkspaceOptions } from './workspace-options.ts'

type Settled = Pick<WorkspaceOptions, 'path' | 'stateDir' | 'limits' | 'precious'>

interface SettleOptions {
  /** The backend that ends its own. @default none */
  readonly except?: SnapshotBackendName | undefined
  readonly signal?: AbortSignal | undefined
}

/** See {@link endKilledRollbacks}. A state directory that cannot be used keeps nobody from saving and loading. */
export async function settleDirectory(
  workspace: Settled,
  { except, signal }: SettleOptions = {},
): Promise<void> {
  const state = await findState(workspace).catch(() => undefined)
  if (state === undefined) return
  const { limits, precious } = workspace
  await endKilledRollbacks({ ...state, limits, precious, except, signal })
}

/** A backend that finds nothing half done. */
export async function openSettledBackend(
  workspace: Settled,
  options: OpenSnapshotBackendOptions,
): Promise<SnapshotBackend> {
  const backend = await openSnapshotBackend(options)
  await settleDirectory(workspace, { except: backend.name })
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
  await settleDirectory(workspace, given)
  const { exclude = workspace.exclude, cacheDirectory = await prepareCacheDirectory(workspace) } = given
  return { ...given, exclude, cacheDirectory }
}
