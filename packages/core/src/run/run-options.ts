import type { OptionNames } from '../known-options.ts'
import {
  isAmount,
  isArtifactStore,
  isFilledText,
  isFlag,
  isFlagOrObject,
  isFunction,
  isObject,
  isOneOf,
  isSignal,
  isText,
  isTextList,
} from '../option-checks.ts'
import type { ArtifactStore } from '../artifact/artifact-store.ts'
import type { LoadOptions, LoadProgress, SaveProgress } from '../bundle/bundle-store.ts'
import type { CaptureLimits } from '../snapshot/capture-policy.ts'
import type { IgnoreRules, SnapshotStrategy } from '../snapshot/open-snapshot-backend.ts'
import { rollbackOptionNames } from '../snapshot/rollback/rollback-option-names.ts'
import type { RollbackOptions } from '../snapshot/snapshot-backend.ts'
import type { SnapshotProgress } from '../snapshot/snapshot-progress.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'
import type { Workspace } from '../workspace/workspace.ts'
import type { RunEvent } from './run-event.ts'

/** The work that a run wraps. What it returns is the run's value; what it throws makes the run `failed`. */
export type Agent<T> = (run: RunContext) => Promise<T> | T

/** What the agent of a run is given. */
export interface RunContext {
  readonly runId: string
  readonly workspace: Workspace
  /** Real path of the directory; the agent works here. */
  readonly path: string
  /** State before the agent; `null` when the workspace flow is switched off. */
  readonly before: Snapshot | null
  /** Aborts when the caller's signal does or the time is over. Pass it on: a run cannot stop an agent that ignores it. */
  readonly signal: AbortSignal
}

/** What `executeRun` does around the agent. What is not given has its default. */
export interface RunOptions {
  /** Whether the workspace is looked at; switched off, only the agent runs. @default true */
  readonly enabled?: boolean | undefined
  /** How snapshots are taken. @default 'auto': git in a repository; else bundle with `rollbackOnFailure`, hash without */
  readonly strategy?: SnapshotStrategy | undefined
  /** Whether a patch is made, where the backend can. @default true */
  readonly capturePatch?: boolean | undefined
  /** The largest patch, in bytes, that is embedded in the result. @default 1_048_576 */
  readonly maxPatchBytes?: number | undefined
  /**
   * Put the directory back when the agent fails or is aborted; with options, as `Workspace.rollback` does with them. The
   * state after the agent is what it expects, so that edits made since are foreign ones. @default false
   */
  readonly rollbackOnFailure?: boolean | RunRollbackOptions | undefined
  /** Where patches go instead of into the result, whatever their size. @default embedded up to the cap */
  readonly artifactStore?: ArtifactStore | undefined
  /** What the hash and bundle strategies leave out, on top of their defaults. @default nothing more */
  readonly ignore?: IgnoreRules | undefined
  /** How much new content one snapshot takes; see {@link CaptureLimits}. @default those of the workspace */
  readonly limits?: CaptureLimits | undefined
  /** Ignored files to capture all the same; see `WorkspaceOptions.precious`. @default those of the workspace */
  readonly precious?: readonly string[] | undefined
  /** Load the workspace from its store first; `true` is the latest version, and no version yet is no error. @default false */
  readonly load?: boolean | LoadOptions | undefined
  /** Save the workspace after a completed run, with this message. @default no save */
  readonly save?: string | RunSaveOptions | undefined
  /** What to do while another run has the workspace: wait for it, or reject with `BUSY`. @default 'wait' */
  readonly onBusy?: 'wait' | 'refuse' | undefined
  /** How long to wait for another run before rejecting with `BUSY`. @default no limit */
  readonly waitTimeoutMs?: number | undefined
  /** Aborts the run: before the agent starts the call rejects with the signal's reason, later the result says so. @default never */
  readonly signal?: AbortSignal | undefined
  /** How long the agent may take before its signal aborts. @default no limit */
  readonly timeoutMs?: number | undefined
  /** How long an aborted agent may take to stop before the run goes on without it. @default 5_000 */
  readonly abortGraceMs?: number | undefined
  /** Called for each event, in order. What it throws is noted in the record's warnings and otherwise ignored. @default nobody */
  readonly onEvent?: ((event: RunEvent) => void) | undefined
  /** Told how far a step is that takes its time. What it throws is a warning in the record. @default nobody is told */
  readonly onProgress?: ((progress: RunProgress) => void) | undefined
  /** JSON-safe facts of the host's own, copied into the record. @default none */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** @default a random UUID */
  readonly runId?: string | undefined
}

/** JSON-safe. How far a step around the agent is. */
export type RunProgress =
  | ({ readonly step: 'load' } & LoadProgress)
  | ({ readonly step: 'before-snapshot' | 'after-snapshot' | 'rollback' } & SnapshotProgress)
  | ({ readonly step: 'save' } & SaveProgress)

/** See `RollbackOptions`. */
export type RunRollbackOptions = Pick<RollbackOptions, 'paths' | 'onForeignEdits' | 'restoreGit'>

const { paths, onForeignEdits, restoreGit } = rollbackOptionNames

export const runRollbackOptionNames: OptionNames<RunRollbackOptions> = { paths, onForeignEdits, restoreGit }

export const runOptionNames: OptionNames<RunOptions> = {
  enabled: isFlag,
  strategy: true,
  capturePatch: isFlag,
  maxPatchBytes: isAmount,
  rollbackOnFailure: isFlagOrObject,
  artifactStore: isArtifactStore,
  ignore: isObject,
  limits: isObject,
  precious: isTextList,
  load: isFlagOrObject,
  save: true,
  onBusy: isOneOf('wait', 'refuse'),
  waitTimeoutMs: isAmount,
  signal: isSignal,
  timeoutMs: isAmount,
  abortGraceMs: isAmount,
  onEvent: isFunction,
  onProgress: isFunction,
  metadata: isObject,
  runId: isFilledText,
}

export const recordOptionNames: OptionNames<Pick<RunOptions, 'runId' | 'metadata'>> = {
  runId: runOptionNames.runId,
  metadata: runOptionNames.metadata,
}

export interface RunSaveOptions {
  readonly message: string
  /** Save after a failed or aborted run too (after its rollback, if there is one). @default false */
  readonly onFailure?: boolean | undefined
  /**
   * When the run began with `load` and somebody else saved meanwhile: `fail` stores nothing (`workspace.error` is
   * `CONFLICT`), `rebase` makes this the version after the other one. @default 'fail'
   */
  readonly onConflict?: 'fail' | 'rebase' | undefined
}

export const runSaveOptionNames: OptionNames<RunSaveOptions> = {
  message: isText,
  onFailure: isFlag,
  onConflict: isOneOf('fail', 'rebase'),
}
