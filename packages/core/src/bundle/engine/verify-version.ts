import { WorkspaceError } from '../../errors.ts'
import { pathText } from '../exclude-filter.ts'
import type { ContentId } from '../format/content-id.ts'
import { damagedObject } from '../format/damaged-object.ts'
import { decodeFrameInPool } from '../format/frame.ts'
import type { PackIndex } from '../format/pack-index.ts'
import { cutChunk, readPackIndex } from '../format/pack-reader.ts'
import type { VersionRecord } from '../format/version-record.ts'
import { createChunkLocator, type ChunkLocator } from './chunk-locator.ts'
import { objectOf, reasonOf } from './damage.ts'
import { fetchFrames } from './fetch-frames.ts'
import type { LoadLimits } from './load-options.ts'
import { createChunkReader } from './read-chunk.ts'
import { rootOf } from './read-tree.ts'
import type { Repository } from './repository.ts'
import { childOf, createTreeReader, type TreeDirectory, type TreeReader } from './tree-reader.ts'

export interface VerifyVersionOptions {
  /** @default those of a load */
  readonly limits?: LoadLimits | undefined
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface VerifyProgress {
  /** Of the packs, read and checked. */
  readonly bytesDone: number
  readonly bytesExpected: number
}

/** JSON-safe. */
export interface VerifiedVersion {
  /** Empty: every byte is what was written, and the version can be loaded as a whole. */
  readonly problems: readonly VersionProblem[]
  readonly packs: number
  readonly bytes: number
  readonly files: number
}

export interface VersionProblem {
  /** Key of the stored object. */
  readonly object: string
  readonly reason: string
  /** Files and links that cannot be loaded because of it; a directory stands for all that it holds. May be none. */
  readonly files: readonly string[]
}

/**
 * Reads back every byte of every pack that a version names, checks each chunk against its id, and follows the whole tree
 * to see that nothing is missing. Reports everything that is wrong instead of stopping at the first. Memory: the indexes
 * of the packs, and a few frames. Changes nothing: there is no repair.
 * @throws `QUOTA_EXCEEDED` for a tree over the limits, and what the store throws when it cannot be reached
 */
export async function verifyVersion(
  repository: Repository,
  record: VersionRecord,
  options: VerifyVersionOptions = {},
): Promise<VerifiedVersion> {
  const { limits, onProgress, signal } = options
  const problems = createProblemList()
  const damagedChunks = new Map<ContentId, string>()
  const bytesExpected = record.packs.reduce((sum, { bytes }) => sum + bytes, 0)
  let bytesDone = 0
  for (const pack of record.packs) {
    signal?.throwIfAborted()
    const key = repository.packKey(pack.id)
    let index: PackIndex
    try {
      index = await readPackIndex(repository, pack, signal)
    } catch (error) {
      problems.add(key, error)
      continue
    }
    await verifyPack(repository, index, {
      signal,
      onBytes: (bytes) => onProgress?.({ bytesDone: (bytesDone += bytes), bytesExpected }),
      onDamage(error, chunks) {
        problems.add(key, error)
        for (const id of chunks) damagedChunks.set(id, key)
      },
    })
  }
  const locator = createChunkLocator(repository, record.packs, signal, true)
  const chunks = createChunkReader(repository, locator, true, signal)
  const tree = createTreeReader(chunks.read, limits)
  const files = await verifyTree(
    tree,
    locator,
    rootOf(record),
    (path, id, error) => {
      const key = id === null ? undefined : damagedChunks.get(id)
      problems.hit(key ?? objectOf(error), reasonOf(error), pathText(path))
    },
    damagedChunks,
    signal,
  )
  return { problems: problems.list(), packs: record.packs.length, bytes: bytesDone, files }
}

interface VerifyPackOptions {
  readonly signal: AbortSignal | undefined
  readonly onBytes: (bytes: number) => void
  readonly onDamage: (error: unknown, chunks: readonly ContentId[]) => void
}

async function verifyPack(
  repository: Repository,
  pack: PackIndex,
  options: VerifyPackOptions,
): Promise<void> {
  const frames = pack.frames.map((_, frame) => ({ pack, frame, chunks: [] as number[] }))
  for (let position = 0; position < pack.chunkCount; position += 1) {
    frames[pack.chunkAt(position).frame]?.chunks.push(position)
  }
  await fetchFrames(repository, {
    work: frames,
    width: 4,
    signal: options.signal,
    async onFrame({ frame, chunks }, stored) {
      options.onBytes(stored.length)
      let raw: Uint8Array
      try {
        raw = await decodeFrameInPool(stored, { packId: pack.packId, frame }, repository.keys)
      } catch (error) {
        options.onDamage(
          error,
          chunks.map((position) => pack.chunkAt(position).id),
        )
        return
      }
      for (const position of chunks) {
        const chunk = pack.chunkAt(position)
        try {
          cutChunk(pack.packId, raw, chunk, repository.keys)
        } catch (error) {
          options.onDamage(error, [chunk.id])
        }
      }
    },
    onDamage: async ({ chunks }, error) =>
      options.onDamage(
        error,
        chunks.map((position) => pack.chunkAt(position).id),
      ),
  })
}

async function verifyTree(
  tree: TreeReader,
  locator: ChunkLocator,
  root: TreeDirectory,
  onHit: (path: string, id: ContentId | null, error: unknown) => void,
  damagedChunks: ReadonlyMap<ContentId, string>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let files = 0
  const pending = [root]
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    signal?.throwIfAborted()
    try {
      for await (const entry of tree.entries(directory)) {
        const path = childOf(directory, entry.name)
        if (entry.type === 'directory') {
          pending.push({
            path,
            node: entry.node,
            entriesBelow: entry.entriesBelow,
            depth: directory.depth + 1,
          })
          continue
        }
        files += 1
        if (entry.type === 'symlink') continue
        try {
          for await (const run of tree.runs(path, entry)) {
            if (run.kind !== 'chunk') continue
            const { chunk } = locator.find(run.id) ?? (await locator.locate(run.id))
            const isDamaged = damagedChunks.has(run.id)
            if (chunk.length === run.length && !isDamaged) continue
            onHit(path, run.id, damagedObject(`chunk ${run.id}`, 'it is damaged or has another length'))
            break
          }
        } catch (error) {
          if (!WorkspaceError.is(error, 'CORRUPT')) throw error
          onHit(path, null, error)
        }
      }
    } catch (error) {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
      onHit(directory.path, null, error)
    }
  }
  return files
}

function createProblemList() {
  const byObject = new Map<string, { reason: string; files: Set<string> }>()
  const at = (object: string, reason: string) => {
    const known = byObject.get(object)
    if (known !== undefined) return known
    const problem = { reason, files: new Set<string>() }
    byObject.set(object, problem)
    return problem
  }
  return {
    add(object: string, error: unknown): void {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
      at(object, reasonOf(error))
    },
    hit(object: string, reason: string, path: string): void {
      at(object, reason).files.add(path === '' ? '.' : path)
    },
    list: (): VersionProblem[] =>
      [...byObject].map(([object, { reason, files }]) => ({ object, reason, files: [...files].sort() })),
  }
}
