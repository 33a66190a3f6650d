import type { BundleStore } from '../bundle/bundle-store.ts'
import type { OptionNames } from '../known-options.ts'
import {
  isAmount,
  isArtifactStore,
  isFlag,
  isFunction,
  isObject,
  isSignal,
  isText,
  isTextList,
} from '../option-checks.ts'
import type { CaptureLimits } from '../snapshot/capture-policy.ts'
import type { LastCollection } from '../snapshot/collect-later.ts'
import type { PatchOptions } from '../snapshot/compute-diff.ts'
import type { IgnoreRules, SnapshotStrategy } from '../snapshot/open-snapshot-backend.ts'
import type { SnapshotProgressListener } from '../snapshot/snapshot-progress.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { SnapshotStorage } from '../snapshot/state-usage.ts'
import type { ObjectStore } from '../store/object-store.ts'

export interface WorkspaceOptions {
  /** What the workspace is called in a store; see `assertWorkspaceId` for what is allowed. */
  readonly id: string
  /** The directory. It must exist for everything but `load`, which makes it. */
  readonly path: string
  /** Where versions are kept. @default none; `load`, `save`, `history` and `fork` then reject with `INVALID_INPUT` */
  readonly store?: ObjectStore | BundleStore | undefined
  /** Where private state (snapshot content, locks) is kept, outside the workspace. @default `$XDG_STATE_HOME/ws` or `~/.local/state/ws` */
  readonly stateDir?: string | undefined
  /**
   * Disk budget of what each snapshot backend keeps of this directory. Over it the oldest snapshots go, but never the
   * newest 20, those of the last hour or of a running run, or the newest 5 guards. @default 5 GiB, for hash 256 MiB
   */
  readonly maxSnapshotBytes?: number | undefined
  /** How much new content one snapshot takes; what is over a limit is reported, and no rollback touches it. @default see {@link CaptureLimits} */
  readonly limits?: CaptureLimits | undefined
  /**
   * Ignored files that git snapshots capture all the same, such as `.env`: names, or paths from the workspace on, with `*`,
   * `?` and `**`. They are secret: diffs name them, but patches, and so artifacts, leave out their content. @default none
   */
  readonly precious?: readonly string[] | undefined
  /** What saves leave out, and loads leave alone; see `CreateBundleOptions.exclude` and `LoadOptions.exclude`. @default nothing */
  readonly exclude?: readonly string[] | undefined
}

export const workspaceOptionNames: OptionNames<WorkspaceOptions> = {
  id: true,
  path: true,
  store: true,
  stateDir: isText,
  maxSnapshotBytes: isAmount,
  limits: isObject,
  precious: isTextList,
  exclude: isTextList,
}

export interface WorkspaceSnapshotOptions {
  /** @default 'snapshot' */
  readonly label?: string | undefined
  /** @default 'auto' */
  readonly strategy?: SnapshotStrategy | undefined
  /** For the hash and bundle strategies. @default no rules besides the defaults */
  readonly ignore?: IgnoreRules | undefined
  /** The snapshot taken before this one: what it captured stays in view even if ignore rules have changed. @default none */
  readonly previous?: Snapshot | undefined
  /** Called while it goes on; what it throws makes the snapshot fail. @default nobody is told */
  readonly onProgress?: SnapshotProgressListener | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export const snapshotOptionNames: OptionNames<WorkspaceSnapshotOptions> = {
  label: isText,
  strategy: true,
  ignore: isObject,
  previous: true,
  onProgress: isFunction,
  signal: isSignal,
}

export interface WorkspaceDiffOptions extends PatchOptions {
  /** For the hash and bundle strategies; those that the snapshots were taken with. @default no rules besides the defaults */
  readonly ignore?: IgnoreRules | undefined
}

export const diffOptionNames: OptionNames<WorkspaceDiffOptions> = {
  capturePatch: isFlag,
  maxPatchBytes: isAmount,
  artifactStore: isArtifactStore,
  ignore: isObject,
  signal: isSignal,
}

export interface CollectOptions {
  /** Only say what would be removed. @default false */
  readonly dryRun?: boolean | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export const collectOptionNames: OptionNames<CollectOptions> = { dryRun: isFlag, signal: isSignal }

/** JSON-safe. */
export interface SnapshotUsage {
  /** One for each backend that has been used. */
  readonly backends: readonly SnapshotStorage[]
  /** How the last collection that ran by itself ended; `null` before the first. */
  readonly lastCollection: LastCollection | null
}

export interface ForkOptions {
  /** Directory of the new workspace; filled by its first `load()`. @default a sibling of this one, named by the new id */
  readonly path?: string | undefined
  /** @default the latest */
  readonly version?: number | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export const forkOptionNames: OptionNames<ForkOptions> = { path: isText, version: true, signal: isSignal }

/** What a run needs of a backend. */
export interface BackendOptions {
  readonly strategy?: SnapshotStrategy | undefined
  readonly needsRollback?: boolean | undefined
  /** For snapshots that exist: git's are then served also where the repository is gone. */
  readonly isForSnapshots?: boolean | undefined
  /** One that it has to understand: its strategy is that of the snapshot then. @default none */
  readonly snapshot?: Snapshot | undefined
  readonly ignore?: IgnoreRules | undefined
  readonly limits?: CaptureLimits | undefined
  readonly precious?: readonly string[] | undefined
}
