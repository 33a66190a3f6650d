import type { ContentId } from './content-id.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'

/** One entry of a directory. Names are byte strings: one character for each byte. */
export type TreeEntry = FileEntry | DirectoryEntry | SymlinkEntry

export interface EntryFacts {
  /** One path component: not empty, no `/`, no NUL, not `.` or `..`; at most 65,535 bytes. */
  readonly name: ByteString
  /** The 12 permission bits. */
  readonly mode: number
  /** Since 1970, negative before. */
  readonly mtimeSeconds: number
  /** 0 to 999,999,999, forward from `mtimeSeconds`. */
  readonly mtimeNanoseconds: number
}

export interface FileEntry extends EntryFacts {
  readonly type: 'file'
  readonly size: number
  /** Equal and not 0n for the names of one hard-linked file. */
  readonly hardLinkGroup: bigint
  /** Their lengths add up to `size`. */
  readonly runs: readonly Run[]
}

export interface DirectoryEntry extends EntryFacts {
  readonly type: 'directory'
  readonly node: ContentId
  /** Entries of every kind in it and below it. */
  readonly entriesBelow: number
  readonly contentBytesBelow: number
}

export interface SymlinkEntry extends EntryFacts {
  readonly type: 'symlink'
  /** The text of the link, as it is. */
  readonly target: ByteString
}

/** A stretch of a file's content. `list`: a chunk that holds the runs (chunks and zeros only) of that stretch. */
export interface Run {
  readonly kind: 'chunk' | 'zeros' | 'list'
  /** `''` for zeros. */
  readonly id: ContentId
  readonly length: number
}

/** A part of a directory that is too large for one node. */
export interface TreeSegment {
  readonly id: ContentId
  readonly entries: number
}

/** A node holds a directory's entries, or says which nodes (of entries) they are spread over. */
export type TreeNode =
  | { readonly kind: 'entries'; readonly entries: readonly TreeEntry[] }
  | { readonly kind: 'segments'; readonly segments: readonly TreeSegment[] }

/** Reads a chunk and checks its id. */
export type ReadChunk = (id: ContentId) => Promise<Uint8Array>

/** @param entries in any order */
export declare function encodeTreeNode(entries: readonly TreeEntry[]): Uint8Array
/** @throws `CORRUPT` for anything but what `encodeTreeNode` and `encodeSegments` make */
export declare function decodeTreeNode(bytes: Uint8Array, id: ContentId): TreeNode
/** The entries of a directory in byte order of their names, whichever way its node holds them. */
export declare function readDirectoryEntries(
  node: ContentId,
  readChunk: ReadChunk,
): AsyncGenerator<TreeEntry, void, void>
/** The runs of a file with its lists opened: chunks and zeros only. */
export declare function readRuns(file: FileEntry, readChunk: ReadChunk): AsyncGenerator<Run, void, void>
