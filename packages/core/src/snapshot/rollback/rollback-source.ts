import type { BigIntStats } from 'node:fs'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import type { GitRestore } from '../snapshot-backend.ts'
import type { SnapshotProgressListener } from '../snapshot-progress.ts'
import type { Snapshot } from '../snapshot.ts'

/** A file or link of a captured state. */
export interface LeafEntry {
  readonly type: 'file' | 'symlink'
  /** Permission bits. */
  readonly mode: number
  /** Bytes of the content or of the link's text; `null` when the backend has to be asked (see {@link RollbackSource.sizesOf}). */
  readonly size: number | null
  /** The backend's own handle on the content. */
  readonly content: unknown
  /** Seconds since 1970 that a written file gets as its modification time; `null` where the backend keeps none. */
  readonly modifiedAt: number | null
  /** Equal for the names of one hard-linked file; `null` for a file of its own. */
  readonly hardLinkGroup: string | null
}

/** A directory of a captured state, whatever is in it. */
export interface DirectoryEntry {
  readonly type: 'directory'
  /** Permission bits. */
  readonly mode: number
  /** Nothing in it was captured. */
  readonly isEmpty: boolean
}

export type StateEntry = LeafEntry | DirectoryEntry

/** One path that differs in type, permissions or content; also a directory that became empty, or is no longer. */
export interface Delta {
  readonly path: ByteString
  readonly before: StateEntry | null
  readonly after: StateEntry | null
  /** Both are files, or both links, of the same content; or both are directories. */
  readonly hasSameContent: boolean
}

export interface RollbackState {
  /** Equal exactly for equal states. */
  readonly ref: string
  /** Whether the state says nothing about a path: then the path's absence from it is no reason to remove anything. */
  isLeftOut(path: ByteString): boolean
  /** Whether the content was unreadable, so that what the state holds is from an earlier time. */
  isUnread(path: ByteString): boolean
}

/** The directory as it has just been captured. */
export interface PresentState extends RollbackState {
  readonly snapshot: Snapshot
  /** What is left out because it may not be read, or has too long a path. */
  readonly unreadable: readonly ByteString[]
  /**
   * Whether a file is still, beyond doubt, the one that was captured.
   * @param isContentAtStake false when only its permissions are about to change
   */
  isAsCaptured(file: FoundFile, entry: LeafEntry, isContentAtStake: boolean): boolean | Promise<boolean>
}

export interface FoundFile {
  readonly path: ByteString
  /** For `node:fs`, reached without following a link. */
  readonly file: string | Buffer
  readonly stats: BigIntStats
}

export interface CaptureForRollback {
  readonly label: string
  /** Whose rules decide what counts. */
  readonly goal: RollbackState
  /** What they captured stays in view. */
  readonly inView: readonly RollbackState[]
  /** Permission bits that count in the place of those on the disk. @default none */
  readonly modes?: ReadonlyMap<ByteString, number> | undefined
  /** What the rollback itself writes: no limit leaves it out. @default nothing */
  readonly written?: readonly ByteString[] | undefined
  /** Whether another capture follows, so that what only saves time need not be written down. @default false */
  readonly isPassing?: boolean | undefined
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * All that a backend gives to a rollback: captured states, what differs between them, and content. What is done with
 * them is the same for every backend. Used under the workspace's lock only.
 */
export interface RollbackSource {
  /** Real path of the workspace. */
  readonly path: string
  /** A directory in the workspace that a capture reads and does not hold, and files in it that it cannot do without. */
  readonly alsoRead?: { readonly directory: ByteString; readonly files: readonly ByteString[] } | undefined
  /** A private directory for the journal and for what is merged. */
  readonly journalDirectory: string
  /** @throws `INVALID_INPUT` for a snapshot of another workspace or backend, `NOT_FOUND` when its data is gone */
  open(snapshot: Snapshot, signal?: AbortSignal): Promise<RollbackState>
  capture(request: CaptureForRollback): Promise<PresentState>
  /** Every path that differs, sorted by bytes; directories too. */
  compare(from: RollbackState, to: RollbackState, signal?: AbortSignal): Promise<readonly Delta[]>
  /** Passes the contents on, one after the other, in the given order. @throws `CORRUPT` naming the path */
  read(
    state: RollbackState,
    leaves: readonly PlacedLeaf[],
    receive: (index: number, content: AsyncIterable<Uint8Array>) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<void>
  /** Bytes of each. @throws `CORRUPT` when a content is not there */
  sizesOf(leaves: readonly PlacedLeaf[], signal?: AbortSignal): Promise<readonly number[]>
  /** For a backend whose snapshots record a repository besides files. */
  readonly repository?: RollbackRepository | undefined
  /** Whether a captured file's content is exactly these bytes. */
  holds(state: RollbackState, leaf: PlacedLeaf, content: Uint8Array): boolean | Promise<boolean>
}

export interface RollbackRepository {
  /**
   * Looks at what is in the way of putting the repository back to what a snapshot recorded, and writes nothing.
   * @param guardId names the rollback in what it leaves
   * @throws `BUSY`, `UNSUPPORTED`, `CONFLICT`, `UNSAFE_PATH`
   */
  prepare(target: Snapshot, guardId: string): Promise<PreparedRepository>
}

export interface PreparedRepository {
  readonly report: GitRestore
  /** Carries it out and looks whether it worked. @throws `CONFLICT` when somebody was at it meanwhile */
  restore(): Promise<void>
}

export interface PlacedLeaf {
  readonly path: ByteString
  readonly entry: LeafEntry
}

export function leafOf(entry: StateEntry | null): LeafEntry | null {
  return entry === null || entry.type === 'directory' ? null : entry
}

export function isEmptyDirectory(entry: StateEntry | null): boolean {
  return entry?.type === 'directory' && entry.isEmpty
}
