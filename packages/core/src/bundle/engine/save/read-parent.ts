import { WorkspaceError } from '../../../errors.ts'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { ContentId } from '../../format/content-id.ts'
import { decodeFrameInPool } from '../../format/frame.ts'
import type { PackIndex } from '../../format/pack-index.ts'
import { cutChunk, readPackIndex, readStoredFrames } from '../../format/pack-reader.ts'
import { readDirectoryEntries, readRuns, type TreeEntry } from '../../format/tree-node.ts'
import type { Run } from '../../format/tree-runs.ts'
import type { PackReference } from '../../format/version-record.ts'
import { forEachConcurrently } from '../repository/for-each-concurrently.ts'
import { emptyTree, joinPath, STATS_PER_ENTRY, type KnownTree } from '../known/known-tree.ts'
import type { Repository } from '../repository/repository.ts'
import type { ParentRequest } from './save-state.ts'

/**
 * What a save must know of its parent when the cache does not: the chunks in these packs, and the tree. Whatever is
 * damaged is left out, so that it is stored anew.
 * @throws `UNAVAILABLE` and the like: an outage is not damage
 */
export async function readParent(
  repository: Repository,
  request: ParentRequest,
  signal: AbortSignal | undefined,
): Promise<KnownTree> {
  const tree = emptyTree()
  const nodes = new Map<ContentId, Uint8Array>()
  const wanted = new Set(request.packs.map((pack) => pack.id))
  const packs = request.treePacks ?? request.packs
  await forEachConcurrently(packs, async (pack: PackReference) => {
    await ignoreDamage(async () => {
      const index = await readPackIndex(repository, pack, signal)
      if (request.treePacks !== null) await collectNodes(repository, index, nodes, signal)
      if (!wanted.has(pack.id)) return
      tree.packs.set(pack.id, pack)
      for (let position = 0; position < index.chunkCount; position += 1) {
        tree.chunkPacks.set(index.chunkAt(position).id, pack.id)
      }
    })
  })
  if (request.treePacks !== null) await ignoreDamage(() => readTree(tree, request.root, nodes))
  return tree
}

async function ignoreDamage(read: () => Promise<void>): Promise<void> {
  try {
    await read()
  } catch (error) {
    if (!WorkspaceError.is(error, 'CORRUPT')) throw error
  }
}

async function collectNodes(
  repository: Repository,
  index: PackIndex,
  nodes: Map<ContentId, Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { packId } = index
  const numbers = index.frames.flatMap((frame, number) => (frame.kind === 'tree' ? [number] : []))
  const raw = new Map<number, Uint8Array>()
  for await (const { frame, stored } of readStoredFrames(repository, index, numbers, signal)) {
    raw.set(frame, await decodeFrameInPool(stored, { packId, frame }, repository.keys))
  }
  for (let position = 0; position < index.chunkCount; position += 1) {
    const chunk = index.chunkAt(position)
    const frame = raw.get(chunk.frame)
    if (frame !== undefined) nodes.set(chunk.id, cutChunk(packId, frame, chunk, repository.keys))
  }
}

async function readTree(
  tree: KnownTree,
  root: ContentId,
  nodes: ReadonlyMap<ContentId, Uint8Array>,
): Promise<void> {
  const readChunk = async (id: ContentId): Promise<Uint8Array> => {
    const content = nodes.get(id)
    if (content !== undefined) return content
    throw new WorkspaceError('CORRUPT', `The tree node ${id} is in none of the version's packs.`)
  }
  const pending: { path: ByteString; node: ContentId }[] = [{ path: '', node: root }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path, node } = next
    const entries: TreeEntry[] = []
    let entriesBelow = 0
    let contentBytesBelow = 0
    for await (const entry of readDirectoryEntries(node, readChunk)) {
      if (entry.type === 'file') entries.push({ ...entry, runs: await openLists(entry.runs, readChunk) })
      else entries.push(entry)
      if (entry.type === 'directory') pending.push({ path: joinPath(path, entry.name), node: entry.node })
      entriesBelow += 1 + (entry.type === 'directory' ? entry.entriesBelow : 0)
      if (entry.type !== 'symlink') {
        contentBytesBelow += entry.type === 'file' ? entry.size : entry.contentBytesBelow
      }
    }
    const stats = new BigInt64Array(entries.length * STATS_PER_ENTRY)
    tree.directories.set(path, { node, entries, stats, entriesBelow, contentBytesBelow })
  }
  tree.root = root
}

async function openLists(
  runs: readonly Run[],
  readChunk: (id: ContentId) => Promise<Uint8Array>,
): Promise<readonly Run[]> {
  if (!runs.some((run) => run.kind === 'list')) return runs
  const opened: Run[] = []
  for await (const run of readRuns({ runs }, readChunk)) opened.push(run)
  return opened
}
