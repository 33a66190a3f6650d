/** Which way of capturing a directory was used. */
export type SnapshotBackendName = 'git' | 'hash' | 'bundle'

/**
 * A directory at one moment. JSON-safe: it may be stored, sent, parsed and used again later by any process that has
 * the same state directory. It holds references, not content; content stays in the backend's private store.
 */
export interface Snapshot {
  /** Unique for each capture. */
  readonly id: string
  readonly backend: SnapshotBackendName
  /** Absolute real path of the directory. */
  readonly path: string
  /** Identifies the captured state: equal refs of one backend and path mean equal content, names, types and modes. */
  readonly ref: string
  /** What the caller called this moment: `before`, `after`, `after_failure`. */
  readonly label: string
  /** ISO 8601, UTC. */
  readonly capturedAt: string
  readonly metadata: SnapshotMetadata
  readonly coverage: SnapshotCoverage
  /** What was found broken and put right on the way, as sentences: a lock left by a killed process, a damaged pack. */
  readonly notes?: readonly string[]
}

export interface SnapshotMetadata {
  /** Files, symbolic links and empty directories captured. */
  readonly entries: number
  /** git: the commit at HEAD when captured; `null` in a repository without commits. Absent for other backends. */
  readonly head?: string | null
  /** git: the branch HEAD pointed to (`refs/heads/main`); `null` when detached. */
  readonly headRef?: string | null
  /** git: whether the captured content differs from HEAD's. */
  readonly dirty?: boolean
  /** git: always true; untracked files that are not ignored are captured. */
  readonly includesUntracked?: boolean
  /** git: object id of the captured tree. */
  readonly tree?: string
  /**
   * git: other repositories in the workspace, submodules and linked work trees among them. Their files are captured and
   * rolled back by their own ignore rules; their `.git`, and so their commits and HEAD, is never captured or changed.
   */
  readonly repositories?: readonly NestedRepositoryHead[]
  /**
   * git: what `restoreGit` puts back: HEAD, refs, index, stash, and a merge or rebase in progress, as recorded in the
   * private store. Absent in a directory below the top of a work tree.
   */
  readonly repository?: string
  /** Present when a killed rollback had to be completed before this capture. */
  readonly recovery?: RollbackRecovery
}

export interface NestedRepositoryHead {
  /** Relative to the workspace. */
  readonly path: string
  /** The commit at HEAD when captured; `null` without commits, or where only git could tell. */
  readonly head: string | null
  /** The branch HEAD pointed to; `null` when detached. */
  readonly headRef: string | null
}

/** What became of a rollback that was killed on its way. JSON-safe. */
export interface RollbackRecovery {
  /** `forward`: it was completed. `back`: the state before it came back. */
  readonly outcome: 'forward' | 'back'
  readonly target: Snapshot
  /** The state before it. */
  readonly guard: Snapshot
  /** Paths that somebody changed since it was killed: they were left as they are. */
  readonly kept: readonly string[]
}

/** What a snapshot did not capture, and so what a rollback to it will never touch. */
export interface SnapshotCoverage {
  /** True when nothing below was left out and nothing changed during the capture. */
  readonly complete: boolean
  /** Files, symbolic links and empty directories that were captured. */
  readonly captured: number
  /** How many paths were left out, by reason; a skipped directory counts once. */
  readonly omitted: Readonly<Record<OmissionReason, number>>
  /** The first of them (at most 100), sorted by path. */
  readonly examples: readonly Omission[]
  /** Files that kept changing while they were read. */
  readonly unstable: readonly string[]
}

/**
 * - `ignored`: the ignore rules say so.
 * - `special-file`: a pipe, a socket or a device.
 * - `unreadable`: it may not be read, or its path is too long.
 * - `unsupported-name`: a name that no snapshot can hold: `.git` in another case, or on Windows a device.
 * - `too-large`: the file is over `maxFileBytes`.
 * - `over-total`: with it the capture would have stored more than `maxDeltaBytes` or `maxFiles`.
 */
export type OmissionReason =
  | 'ignored'
  | 'special-file'
  | 'unreadable'
  | 'unsupported-name'
  | 'too-large'
  | 'over-total'

export function noOmissions(): Record<OmissionReason, number> {
  return {
    ignored: 0,
    'special-file': 0,
    unreadable: 0,
    'unsupported-name': 0,
    'too-large': 0,
    'over-total': 0,
  }
}

export interface Omission {
  readonly path: string
  readonly reason: OmissionReason
}

export type EntryType = 'file' | 'symlink' | 'directory'

/** One side of a change. */
export interface EntryState {
  readonly type: EntryType
  /** Permission bits, for example 0o644. Symbolic links have 0o777. */
  readonly mode: number
  /** Length in bytes: of the content, or of the link's text; 0 for a directory. */
  readonly size: number
  /** Content id in the backend's own terms (a git blob id, a SHA-256); empty for a directory. */
  readonly content: string
}

/**
 * One path that differs between two snapshots. Directories show only where they are empty: an empty directory that
 * appeared, vanished, or changed its mode.
 */
export interface FileChange {
  /** Relative to the workspace, with `/`. Bytes that are not UTF-8 appear as lone surrogates (see `decodePath`). */
  readonly path: string
  readonly status: 'added' | 'modified' | 'deleted' | 'type-changed' | 'mode-changed'
  readonly before: EntryState | null
  readonly after: EntryState | null
  /** Lines; `null` for a binary file, by bundle also for one of more than 8 MiB, or when the backend has no content to compare. */
  readonly insertions: number | null
  readonly deletions: number | null
  /** `false` also where the content is the same; `null` when the backend has none to look at. */
  readonly binary: boolean | null
  /** For an added file: the one deleted file with the very same content, if there is exactly one. */
  readonly renamedFrom?: string
  /** Set for a precious file: neither the patch nor this entry tells its content, not even by an id. */
  readonly redacted?: boolean
}

/** The exact difference between two snapshots. JSON-safe. */
export interface WorkspaceDiff {
  readonly backend: SnapshotBackendName
  readonly fromRef: string
  readonly toRef: string
  readonly filesChanged: number
  /** Lines over all text files; 0 where the backend has no content. */
  readonly insertions: number
  readonly deletions: number
  /** Sorted by the paths' bytes. */
  readonly changes: readonly FileChange[]
  readonly changedPaths: readonly string[]
  /**
   * A patch for `git apply` that turns the one state into the other byte for byte, binary files included (text in
   * `patchEncoding`; see `decodePatch`). A patch has no place for empty directories and for permissions besides the owner's
   * execute bit. In a repository git converts what it applies where attributes or settings say so; the guide to getting
   * started has the command under which it does not. `null` when it was not asked for, is empty, is over the cap, was
   * stored as an artifact, or the backend has no content. Never cut short.
   */
  readonly patch: string | null
  readonly patchEncoding: 'utf8' | 'base64' | null
  /** Size of the whole patch in bytes, also when it is not embedded; `null` when none was made. */
  readonly patchBytes: number | null
  /** Key in the artifact store, when the patch was put there. */
  readonly patchRef: string | null
  /** SHA-256 of the patch, in hexadecimal; `null` when none was made. */
  readonly patchSha256: string | null
  /** True when there is a patch that is neither embedded nor stored, because it is over the cap. */
  readonly patchOmitted: boolean
}

/** The patch as bytes, ready for `git apply`; `null` when the diff embeds none. */
export function decodePatch(diff: Pick<WorkspaceDiff, 'patch' | 'patchEncoding'>): Uint8Array | null {
  return diff.patch === null ? null : Buffer.from(diff.patch, diff.patchEncoding ?? 'utf8')
}
