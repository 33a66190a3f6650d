import { pathText } from '../../../filesystem/path-text.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { createChunkLocator } from './chunk-locator.ts'
import { modifiedAtOf } from './modified-at.ts'
import { createChunkReader } from './read-chunk.ts'
import type { Repository } from '../repository/repository.ts'
import { childOf, createTreeReader, type TreeDirectory, type TreeReader } from './tree-reader.ts'

/** JSON-safe. One path that two versions differ in. */
export interface VersionChange {
  /** In the form of `encodePath`. */
  readonly path: string
  /** `changed`: also when only the mode, time or kind is another. */
  readonly status: 'added' | 'changed' | 'removed'
  readonly before: VersionEntry | null
  readonly after: VersionEntry | null
  /**
   * Whether the content of a file or the text of a link differs, or one of the two is absent or of another kind. Also where
   * the same content is stored otherwise: with holes for its zeros, or cut elsewhere.
   */
  readonly contentChanged: boolean
}

export interface VersionEntry {
  readonly type: 'file' | 'directory' | 'symlink'
  readonly mode: number
  /** Of a file's content or a link's text, in bytes; 0 for a directory. */
  readonly size: number
  /** ISO 8601, to the millisecond; '' for a time that a `Date` cannot have. */
  readonly modifiedAt: string
}

/**
 * What differs from one version to another, in path order (each directory before what it holds). Reads only directories
 * whose nodes differ, so the cost follows the change.
 * @throws `CORRUPT`
 */
export async function* diffVersions(
  repository: Repository,
  before: VersionRecord,
  after: VersionRecord,
  signal?: AbortSignal,
): AsyncGenerator<VersionChange, void, void> {
  if (before.root.node === after.root.node) return
  const read = (record: VersionRecord): TreeReader => {
    const locator = createChunkLocator(repository, record.packs, signal)
    return createTreeReader(createChunkReader(repository, locator, false, signal).read)
  }
  const trees: Trees = { before: read(before), after: read(after), signal }
  yield* diffDirectories(trees, rootOf(before), rootOf(after))
}

interface Trees {
  readonly before: TreeReader
  readonly after: TreeReader
  readonly signal: AbortSignal | undefined
}

async function* diffDirectories(
  trees: Trees,
  before: TreeDirectory | null,
  after: TreeDirectory | null,
): AsyncGenerator<VersionChange, void, void> {
  trees.signal?.throwIfAborted()
  const directory = after ?? before
  if (directory === null) return
  const left = before === null ? none() : trees.before.entries(before)
  const right = after === null ? none() : trees.after.entries(after)
  let old = await left.next()
  let fresh = await right.next()
  while (old.done !== true || fresh.done !== true) {
    const oldName = old.done === true ? null : old.value.name
    const freshName = fresh.done === true ? null : fresh.value.name
    const takesOld = oldName !== null && (freshName === null || oldName <= freshName)
    const takesFresh = freshName !== null && (oldName === null || freshName <= oldName)
    const was = takesOld && old.done !== true ? old.value : null
    const is = takesFresh && fresh.done !== true ? fresh.value : null
    yield* diffEntries(trees, directory, was, is)
    if (takesOld) old = await left.next()
    if (takesFresh) fresh = await right.next()
  }
}

async function* diffEntries(
  trees: Trees,
  parent: TreeDirectory,
  before: TreeEntry | null,
  after: TreeEntry | null,
): AsyncGenerator<VersionChange, void, void> {
  const entry = after ?? before
  if (entry === null) return
  const path = childOf(parent, entry.name)
  const contentChanged = before === null || after === null || contentOf(before) !== contentOf(after)
  if (contentChanged || isOtherwise(before, after)) {
    yield {
      path: pathText(path),
      status: before === null ? 'added' : after === null ? 'removed' : 'changed',
      before: describe(before),
      after: describe(after),
      contentChanged,
    }
  }
  const oldNode = nodeOf(before)
  const freshNode = nodeOf(after)
  if (oldNode === freshNode) return
  const child = (node: ContentId | null, of: TreeEntry | null): TreeDirectory | null =>
    node === null || of?.type !== 'directory'
      ? null
      : { path, node, entriesBelow: of.entriesBelow, depth: parent.depth + 1 }
  yield* diffDirectories(trees, child(oldNode, before), child(freshNode, after))
}

function rootOf(record: VersionRecord): TreeDirectory {
  return { path: '', node: record.root.node, entriesBelow: null, depth: 0 }
}

function nodeOf(entry: TreeEntry | null): ContentId | null {
  return entry?.type === 'directory' ? entry.node : null
}

/** Equal for equal kinds with equal content; what a directory holds is told by its own entries. */
function contentOf(entry: TreeEntry): string {
  if (entry.type === 'directory') return 'directory'
  if (entry.type === 'symlink') return `symlink ${entry.target}`
  return `file ${entry.size} ${entry.runs.map(({ kind, id, length }) => `${kind} ${id} ${length}`).join(' ')}`
}

function isOtherwise(before: TreeEntry | null, after: TreeEntry | null): boolean {
  return (
    before?.mode !== after?.mode ||
    before?.mtimeSeconds !== after?.mtimeSeconds ||
    before?.mtimeNanoseconds !== after?.mtimeNanoseconds
  )
}

function describe(entry: TreeEntry | null): VersionEntry | null {
  if (entry === null) return null
  const { type, mode } = entry
  const size = entry.type === 'file' ? entry.size : entry.type === 'symlink' ? entry.target.length : 0
  return { type, mode, size, modifiedAt: modifiedAtOf(entry) }
}

async function* none(): AsyncGenerator<TreeEntry, void, void> {
  // A side that has no such directory.
}
