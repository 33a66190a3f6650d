import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import type { PackReference } from '../../format/version-record.ts'

/**
 * A saved tree in memory: what an earlier save or load found in the directory, and which packs hold its chunks.
 * The runs of its files are chunks and zeros, never lists.
 */
export interface KnownTree {
  /** Of the root; `''` for an empty one. */
  root: ContentId
  /** By path. */
  readonly directories: Map<ByteString, KnownDirectory>
  readonly packs: Map<string, PackReference>
  /** Which pack holds a chunk (also of tree nodes). */
  readonly chunkPacks: Map<ContentId, string>
}

export interface KnownDirectory {
  readonly node: ContentId
  /** Sorted by name. */
  readonly entries: readonly TreeEntry[]
  /** Four for each entry: device, inode, change time, modification time; zeros where nothing is known. */
  readonly stats: BigInt64Array
  readonly entriesBelow: number
  readonly contentBytesBelow: number
}

export const STATS_PER_ENTRY = 4

export function emptyTree(): KnownTree {
  return { root: '', directories: new Map(), packs: new Map(), chunkPacks: new Map() }
}

/**
 * Drops packs, and what is known of their chunks.
 * @param most packs besides the kept ones that may stay: looking through the chunks with every save costs more
 */
export function forgetPacks(known: KnownTree, kept: ReadonlySet<string>, most = 0): void {
  const gone = [...known.packs.keys()].filter((id) => !kept.has(id))
  if (gone.length <= most) return
  for (const id of gone) known.packs.delete(id)
  for (const [chunk, pack] of known.chunkPacks) if (!kept.has(pack)) known.chunkPacks.delete(chunk)
}

export function joinPath(directory: ByteString, name: ByteString): ByteString {
  return directory === '' ? name : `${directory}/${name}`
}

/** Of a path that `joinPath` gives. */
export function parentOf(path: ByteString): ByteString {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

export function nameOf(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** One of sorted entries. */
export function findEntry(entries: readonly TreeEntry[], name: ByteString): TreeEntry | null {
  return entries[findIndex(entries, name)] ?? null
}

/** Where a name is among sorted entries; -1 when it is not. */
export function findIndex(entries: readonly TreeEntry[], name: ByteString): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((entries[middle]?.name ?? '') < name) low = middle + 1
    else high = middle
  }
  return entries[low]?.name === name ? low : -1
}
