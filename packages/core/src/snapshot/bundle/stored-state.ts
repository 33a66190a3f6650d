import crypto, { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createChunkLocator } from '../../bundle/engine/read/chunk-locator.ts'
import { createChunkReader } from '../../bundle/engine/read/read-chunk.ts'
import { createTreeReader } from '../../bundle/engine/read/tree-reader.ts'
import type { ContentId } from '../../bundle/format/content-id.ts'
import type { FileEntry, SymlinkEntry, TreeEntry } from '../../bundle/format/tree-node.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { joinPath } from '../byte-path.ts'
import { withOtherModes, type AlteredTree } from './other-modes.ts'
import { openStateCache, type NodeState, type StateCache } from './state-cache.ts'
import type { BundleWorkspace, SnapshotFacts } from './workspace-versions.ts'

/** A captured tree with its content. Every byte is checked against its content id when it is read. */
export interface StoredState {
  readonly record: Pick<VersionRecord, 'root' | 'packs'>
  readonly rootMode: number
  readonly tree: AlteredTree['tree']
  readonly isAltered: AlteredTree['isAltered']
  /** The content of a file, or the text of a link. */
  read(path: ByteString, entry: FileEntry | SymlinkEntry): AsyncGenerator<Uint8Array, void, void>
  /** SHA-256 of the same, in hexadecimal; independent of how the content was cut. */
  hashOf(path: ByteString, entry: FileEntry | SymlinkEntry): Promise<string>
  /** Of a directory: independent of times. */
  stateOf(directory: NodePlace): Promise<NodeState>
}

export interface NodePlace {
  readonly path: ByteString
  readonly node: ContentId
  readonly entriesBelow: number | null
  readonly depth: number
}

const ZEROS = new Uint8Array(64 * 1024)
const EMPTY_HASH = createHash('sha256').digest('hex')

export function stateCacheOf(workspace: BundleWorkspace): StateCache {
  return openStateCache(join(workspace.cacheDirectory, 'states'))
}

export interface OpenStateOptions extends Pick<SnapshotFacts, 'modes'> {
  readonly signal?: AbortSignal | undefined
}

export function openState(
  workspace: BundleWorkspace,
  record: Pick<VersionRecord, 'root' | 'packs'>,
  cache: StateCache,
  { modes: list, signal }: OpenStateOptions = {},
): StoredState {
  const { repository } = workspace
  const locator = createChunkLocator(repository, record.packs, signal)
  const chunks = createChunkReader(repository, locator, false, signal)
  // What the user's directory held is not limited here.
  const stored = createTreeReader(chunks.read, {
    maxContentBytes: Number.MAX_SAFE_INTEGER,
    maxFileBytes: Number.MAX_SAFE_INTEGER,
    maxEntries: Number.MAX_SAFE_INTEGER,
  })
  const { tree, isAltered, rootMode } = withOtherModes(stored, list)

  async function* read(
    path: ByteString,
    entry: FileEntry | SymlinkEntry,
  ): AsyncGenerator<Uint8Array, void, void> {
    if (entry.type === 'symlink') {
      yield Buffer.from(entry.target, 'latin1')
      return
    }
    for await (const run of tree.runs(path, entry)) {
      signal?.throwIfAborted()
      if (run.kind === 'chunk') yield await chunks.read(run.id)
      else
        for (let left = run.length; left > 0; left -= ZEROS.length)
          yield ZEROS.subarray(0, Math.min(left, ZEROS.length))
    }
  }

  async function hashOf(path: ByteString, entry: FileEntry | SymlinkEntry): Promise<string> {
    if (entry.type === 'symlink') return crypto.hash('sha256', Buffer.from(entry.target, 'latin1'))
    const [run] = entry.runs
    if (run === undefined) return EMPTY_HASH
    if (entry.runs.length === 1 && run.kind === 'chunk') return run.id
    const key = crypto.hash(
      'sha256',
      entry.runs.map(({ kind, id, length }) => `${kind} ${id} ${length}`).join('\n'),
    )
    const known = cache.files.get(key)
    if (known !== undefined) return known
    const digest = createHash('sha256')
    for await (const chunk of read(path, entry)) digest.update(chunk)
    const content = digest.digest('hex')
    cache.files.set(key, content)
    return content
  }

  async function stateOf(directory: NodePlace): Promise<NodeState> {
    const isOwnNode = !isAltered(directory.path)
    const known = isOwnNode ? cache.nodes.get(directory.node) : undefined
    if (known !== undefined) return known
    signal?.throwIfAborted()
    const digest = createHash('sha256')
    let entries = 0
    for await (const entry of tree.entries(directory)) {
      const path = joinPath(directory.path, entry.name)
      const below = entry.type === 'directory' ? await stateOf(placeOf(directory, entry, path)) : null
      const content = entry.type === 'directory' ? (below?.hash ?? '') : await hashOf(path, entry)
      entries += below === null ? 1 : Math.max(1, below.entries)
      const mode = entry.type === 'symlink' ? '' : entry.mode.toString(8)
      digest.update(`${entry.type} ${mode} ${content} ${entry.name}\0`, 'latin1')
    }
    const state = { hash: digest.digest('hex'), entries }
    if (isOwnNode) cache.nodes.set(directory.node, state)
    return state
  }

  return { record, rootMode: rootMode ?? record.root.mode, tree, isAltered, read, hashOf, stateOf }
}

export function rootPlace(state: Pick<StoredState, 'record'>): NodePlace {
  return { path: '', node: state.record.root.node, entriesBelow: null, depth: 0 }
}

export function placeOf(
  parent: NodePlace,
  entry: Extract<TreeEntry, { type: 'directory' }>,
  path: ByteString,
): NodePlace {
  return { path, node: entry.node, entriesBelow: entry.entriesBelow, depth: parent.depth + 1 }
}
