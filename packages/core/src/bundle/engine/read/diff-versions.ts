import type { ByteString } from '../../../filesystem/directory-handle.ts'
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
  // Not by recursion: each value would pass through as many generators as it lies deep, and a stack of calls ends.
  const open = [openPair(read(before), read(after), rootOf(before), rootOf(after))]
  for (let pair = open.at(-1); pair !== undefined; pair = open.at(-1)) {
    signal?.throwIfAborted()
    const entries = await nextOf(pair)
    if (entries === null) {
      open.pop()
      continue
    }
    const [was, is] = entries
    const change = changeOf(pair, was, is)
    if (change !== null) yield change
    const inner = openBelow(pair, was, is)
    if (inner !== null) open.push(inner)
  }
}

type Step = IteratorResult<TreeEntry, void>

/** One directory in both versions; either side may have none. */
interface OpenPair {
  readonly trees: readonly [TreeReader, TreeReader]
  readonly path: ByteString
  readonly depth: number
  readonly sides: readonly [AsyncIterator<TreeEntry, void, void>, AsyncIterator<TreeEntry, void, void>]
  /** What each side has next; `null` where it was taken. */
  readonly steps: [Step | null, Step | null]
}

function openPair(
  before: TreeReader,
  after: TreeReader,
  old: TreeDirectory | null,
  fresh: TreeDirectory | null,
): OpenPair {
  return {
    trees: [before, after],
    path: (fresh ?? old)?.path ?? '',
    depth: (fresh ?? old)?.depth ?? 0,
    sides: [old === null ? none() : before.entries(old), fresh === null ? none() : after.entries(fresh)],
    steps: [null, null],
  }
}

/** What both sides have under the next name; `null` when both are at their end. */
async function nextOf(pair: OpenPair): Promise<[TreeEntry | null, TreeEntry | null] | null> {
  const { sides, steps } = pair
  const old = (steps[0] ??= await sides[0].next())
  const fresh = (steps[1] ??= await sides[1].next())
  const was = old.done === true ? null : old.value
  const is = fresh.done === true ? null : fresh.value
  if (was === null && is === null) return null
  const takesOld = was !== null && (is === null || was.name <= is.name)
  const takesFresh = is !== null && (was === null || is.name <= was.name)
  if (takesOld) steps[0] = null
  if (takesFresh) steps[1] = null
  return [takesOld ? was : null, takesFresh ? is : null]
}

function changeOf(parent: OpenPair, before: TreeEntry | null, after: TreeEntry | null): VersionChange | null {
  const contentChanged = before === null || after === null || contentOf(before) !== contentOf(after)
  if (!contentChanged && !isOtherwise(before, after)) return null
  return {
    path: pathText(childOf(parent, (after ?? before)?.name ?? '')),
    status: before === null ? 'added' : after === null ? 'removed' : 'changed',
    before: describe(before),
    after: describe(after),
    contentChanged,
  }
}

function openBelow(parent: OpenPair, before: TreeEntry | null, after: TreeEntry | null): OpenPair | null {
  if (nodeOf(before) === nodeOf(after)) return null
  const below = (entry: TreeEntry | null): TreeDirectory | null => {
    if (entry?.type !== 'directory') return null
    const { name, node, entriesBelow } = entry
    return { path: childOf(parent, name), node, entriesBelow, depth: parent.depth + 1 }
  }
  return openPair(...parent.trees, below(before), below(after))
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
