import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { inStateDirectory } from '../filesystem/filesystem-error.ts'
import { lockHeldSince } from '../filesystem/process-lock.ts'
import { collectVersions } from './bundle/collect-versions.ts'
import { openWorkspace } from './bundle/workspace-versions.ts'
import { collectSnapshots } from './git/maintain/collect-snapshots.ts'
import { openPrivateRepository } from './git/private/private-repository.ts'
import { collectManifests } from './hash/collect-manifests.ts'
import type { CollectBackendOptions, SnapshotCollection, SnapshotStorage } from './state-usage.ts'

export interface WorkspaceState {
  /** Real path of the workspace. */
  readonly path: string
  /** Its private state directory. */
  readonly stateDirectory: string
  /** Budget of each backend. @default 5 GiB, for the hash backend 256 MiB */
  readonly maxSnapshotBytes?: number | undefined
}

export interface CollectStateOptions {
  /** @default false */
  readonly dryRun?: boolean | undefined
  /** Milliseconds since 1970. @default the present */
  readonly now?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const GIBIBYTE = 1024 ** 3

/** Collects what each backend keeps of the workspace's snapshots; see `rankSnapshots` for what stays. */
export function collectState(
  state: WorkspaceState,
  options: CollectStateOptions = {},
): Promise<SnapshotCollection[]> {
  return inStateDirectory(state.stateDirectory, () => collectBackends(state, options))
}

async function collectBackends(
  state: WorkspaceState,
  { dryRun = false, now = Date.now(), signal }: CollectStateOptions,
): Promise<SnapshotCollection[]> {
  const { path, stateDirectory, maxSnapshotBytes } = state
  const runningSince = await lockHeldSince(join(stateDirectory, 'locks'), 'run')
  const optionsFor = (defaultBytes: number): CollectBackendOptions => ({
    maxBytes: maxSnapshotBytes ?? defaultBytes,
    dryRun,
    now,
    runningSince: runningSince?.getTime() ?? null,
    signal,
  })
  const collections: SnapshotCollection[] = []
  for (const format of ['sha1', 'sha256'] as const) {
    if (!existsSync(join(stateDirectory, 'git', format, 'HEAD'))) continue
    const own = await openPrivateRepository(stateDirectory, format)
    collections.push(await collectSnapshots(own, optionsFor(5 * GIBIBYTE)))
  }
  const manifests = join(stateDirectory, 'hash')
  if (existsSync(manifests)) collections.push(collectManifests(manifests, optionsFor(GIBIBYTE / 4)))
  const bundle = join(stateDirectory, 'bundle')
  if (existsSync(join(bundle, 'store'))) {
    const workspace = await openWorkspace(path, bundle, null)
    collections.push(await collectVersions(workspace, bundle, optionsFor(5 * GIBIBYTE)))
  }
  return collections
}

/** What the snapshots take now, and what a collection would free. */
export async function measureState(
  state: WorkspaceState,
  options: Pick<CollectStateOptions, 'signal'>,
): Promise<SnapshotStorage[]> {
  const collections = await collectState(state, { ...options, dryRun: true })
  return collections.map(({ backend, bytes, maxBytes, snapshots, removed, freedBytes }) => ({
    backend,
    bytes: bytes + freedBytes,
    maxBytes,
    snapshots: snapshots + removed.length,
    reclaimableBytes: freedBytes,
  }))
}
