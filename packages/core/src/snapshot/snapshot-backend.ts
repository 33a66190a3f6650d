import type { SnapshotProgressListener } from './snapshot-progress.ts'
import type { EntryType, FileChange, RollbackRecovery, Snapshot, SnapshotBackendName } from './snapshot.ts'

/**
 * One way of capturing a directory. Opened for one directory; holds no lock between calls.
 *
 * What every backend guarantees:
 * - Capturing writes nothing inside the workspace, and nothing in the user's repository.
 * - A capture is complete or it rejects; what it leaves out is counted in `coverage`.
 * - Equal states give equal refs; a changed file (also one of equal size and modification time) gives another ref.
 * - All backends report the same list of changes for the same edits, apart from what their coverage leaves out.
 * - No command, hook, filter or pager of the workspace's own configuration runs.
 */
export interface SnapshotBackend {
  readonly name: SnapshotBackendName
  readonly capabilities: SnapshotCapabilities

  /** @throws `BUSY` when another process captures the same directory and does not finish in time. */
  capture(options: CaptureOptions): Promise<Snapshot>

  /**
   * Every path that differs, sorted by path bytes, without line counts where there is no content.
   * @throws `INVALID_INPUT` for snapshots of another directory or backend, `NOT_FOUND` when one's data is gone.
   */
  changes(
    from: Snapshot,
    to: Snapshot,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<readonly FileChange[]>

  /** The patch as a stream of bytes; empty when nothing differs. @throws `UNSUPPORTED` without `capabilities.patch`. */
  patch(
    from: Snapshot,
    to: Snapshot,
    options?: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Uint8Array>

  /**
   * Puts the directory back to the state of `target`: exactly what that snapshot captured, and nothing else touched.
   * See {@link RollbackOptions} and {@link RollbackResult} for what is refused, kept and proven.
   * @throws `UNSUPPORTED` without `capabilities.rollback`, `CONFLICT` on foreign edits, `NOT_FOUND` when data is gone.
   */
  rollback(target: Snapshot, options?: RollbackOptions): Promise<RollbackResult>
}

export interface SnapshotCapabilities {
  readonly patch: boolean
  readonly rollback: boolean
}

export interface CaptureOptions {
  readonly label: string
  readonly signal?: AbortSignal | undefined
  /** The snapshot taken before this one in the same run: what it captured stays in view even if ignore rules changed. */
  readonly previous?: Snapshot | undefined
  /** Called while it goes on; what it throws makes the capture fail. @default nobody is told */
  readonly onProgress?: SnapshotProgressListener | undefined
}

export interface RollbackOptions {
  /**
   * Report what would happen and change nothing. (A rollback that was interrupted is completed first, by this call as by
   * any other one.) @default false
   */
  readonly dryRun?: boolean | undefined
  /** Only these files, or everything below these directories; taken literally. @default the whole workspace */
  readonly paths?: readonly string[] | undefined
  /** The state that the caller believes to be there now. Paths that differ from it are foreign edits. @default whatever is there */
  readonly expected?: Snapshot | undefined
  /**
   * `refuse`: reject with `CONFLICT`, details name the paths, nothing is touched. `keep`: leave those paths as they are
   * and roll back the others. `merge`: undo around them, line by line: a text file gets what the target and the foreign
   * edit changed since `expected`; a binary file, or one where both changed the same lines, is refused as above.
   * `overwrite`: roll them back too. @default 'refuse'
   */
  readonly onForeignEdits?: 'refuse' | 'keep' | 'merge' | 'overwrite' | undefined
  /**
   * Also put HEAD, the branch it named, the index, the stash, and a merge or rebase in progress back as they were at the
   * snapshot, for snapshots by git of a whole work tree. Whatever the repository would not name any more (commits, stash
   * entries, where other refs were and are) stays reachable by refs below `refs/ws/rollback/`; other branches and tags
   * are not moved. Rejects with `BUSY` while a git command holds a lock. Rolling back to the guard with `restoreGit`
   * undoes it. @default false: HEAD, refs and index stay as they are, byte for byte
   */
  readonly restoreGit?: boolean | undefined
  /** Called while it goes on; what it throws makes the rollback fail, and what it had done is undone. @default nobody is told */
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

/** JSON-safe. */
export interface RollbackResult {
  readonly dryRun: boolean
  readonly targetRef: string
  /** Paths written or changed back (or, in a dry run, that would be). */
  readonly restored: readonly string[]
  /** Paths removed because the target did not have them. */
  readonly deleted: readonly string[]
  /** Foreign edits that were left alone on request. */
  readonly kept: readonly string[]
  /** Foreign edits that were merged with the target; these are among `restored`. */
  readonly merged: readonly string[]
  /** The same as `restored` and `deleted`, with what each path was and became, and why; sorted by path. */
  readonly steps: readonly RollbackStep[]
  /** Of `paths`, as they were given: those of which neither the target nor the workspace has anything, or that was not captured. */
  readonly unmatched: readonly string[]
  /** Paths found afterwards that no snapshot held before (made meanwhile, or in view again by the target's ignore rules); left alone. */
  readonly appeared: readonly string[]
  /** State just before the rollback; rolling back to it undoes the rollback. `null` in a dry run. */
  readonly guard: Snapshot | null
  /** True when a capture made afterwards equals the target (outside `kept`, `merged` and `appeared`, within `paths`). False only in a dry run. */
  readonly verified: boolean
  /**
   * What had to be done first, because an earlier rollback had been killed on its way. `null`: nothing. Where the call fails
   * after that, its error has the same in `details.recovery`, `recoveryTarget`, `recoveryGuard`, `recoveryKept`.
   */
  readonly recovery: RollbackRecovery | null
  /** With `restoreGit`: what was, or in a dry run would be, put back. `null` without it. */
  readonly git: GitRestore | null
}

/** What became of the user's repository. JSON-safe. */
export interface GitRestore {
  /** Parts that were not as at the snapshot and are again. */
  readonly restored: readonly ('HEAD' | 'branch' | 'index' | 'stash' | 'operation')[]
  /** What could not be put back, and why. */
  readonly notRestored: readonly { readonly part: string; readonly reason: string }[]
  /** Refs that were made so that nothing is lost: `target` is what `was` (HEAD, a ref, `stash@{0}`) named. */
  readonly safetyRefs: readonly { readonly name: string; readonly target: string; readonly was: string }[]
  /** Other branches and tags that are not as at the snapshot; they were not moved. */
  readonly otherRefs: readonly {
    readonly ref: string
    readonly was: string | null
    readonly is: string | null
  }[]
  /** A merge, rebase, cherry-pick or revert that was in progress before the rollback; the guard has it. */
  readonly wasInProgress: readonly string[]
}

/** One path of a rollback. */
export interface RollbackStep {
  readonly path: string
  readonly action: 'create' | 'replace' | 'merge' | 'change-mode' | 'delete'
  readonly reason: 'missing' | 'content-differs' | 'type-differs' | 'mode-differs' | 'not-in-target'
  /** Somebody changed it after the expected snapshot. */
  readonly isForeignEdit: boolean
  readonly before: RollbackSide | null
  readonly after: RollbackSide | null
}

export interface RollbackSide {
  readonly type: EntryType
  /** Permission bits. */
  readonly mode: number
  /** Bytes of the content, or of a link's text; 0 for a directory. */
  readonly size: number
}
