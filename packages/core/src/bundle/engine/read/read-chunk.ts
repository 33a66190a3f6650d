import { decodeFrameInPool } from '../../format/frame.ts'
import { cutChunk, readStoredFrames } from '../../format/pack-reader.ts'
import type { ReadChunk } from '../../format/tree-node.ts'
import { WorkspaceError } from '../../../errors.ts'
import type { PackChunk, PackIndex } from '../../format/pack-index.ts'
import type { ChunkLocator } from './chunk-locator.ts'
import { damageIn } from '../repository/damage.ts'
import { prefetchTrees, type PrefetchedTrees } from './prefetch-trees.ts'
import { readTwice } from '../repository/read-twice.ts'
import type { Repository } from '../repository/repository.ts'

/** Frames of about 1 MiB, kept for the other chunks in them: tree nodes are read in nearly the order they lie in. */
const FRAMES_KEPT = 12
/** So many frames of the tree are fetched together when a whole tree is read. */
const TREE_FRAMES_AHEAD = 6

export interface ChunkReader {
  readonly read: ReadChunk
  /** Stored bytes read so far. */
  fetchedBytes(): number
}

/**
 * Reads single chunks (tree nodes, lists of runs), checked.
 * @param ahead whether much of the tree will be read, so that its frames are worth fetching before they are asked for
 */
export function createChunkReader(
  repository: Repository,
  locator: ChunkLocator,
  ahead: boolean,
  signal?: AbortSignal,
): ChunkReader {
  const frames = keepFrames()
  let prefetched: PrefetchedTrees | null = null
  let fetched = 0

  function load(pack: PackIndex, frame: number): Promise<Uint8Array> {
    const key = `${pack.packId} ${frame}`
    const known = frames.use(key)
    if (known !== undefined) return known
    const coming = frames.isAnew(key) ? undefined : prefetched?.frames.get(key)
    if (coming === undefined) return fetch(pack, frame)
    return frames.keep(
      key,
      coming.then((stored) =>
        stored === null
          ? fetch(pack, frame)
          : decodeFrameInPool(stored, { packId: pack.packId, frame }, repository.keys),
      ),
    )
  }

  function fetch(pack: PackIndex, frame: number): Promise<Uint8Array> {
    const key = `${pack.packId} ${frame}`
    const wanted = ahead && !frames.isAnew(key) ? treeFramesFrom(pack, frame) : [frame]
    const pending = new Map(wanted.map((number) => [number, Promise.withResolvers<Uint8Array>()]))
    for (const [number, { promise }] of [...pending].toReversed()) {
      const other = `${pack.packId} ${number}`
      if (number === frame || !frames.has(other)) void frames.keep(other, promise)
    }
    void (async () => {
      try {
        for await (const { frame: number, stored } of readStoredFrames(repository, pack, wanted, signal)) {
          fetched += stored.length
          pending
            .get(number)
            ?.resolve(decodeFrameInPool(stored, { packId: pack.packId, frame: number }, repository.keys))
        }
        throw new WorkspaceError('INTERNAL', 'A frame was not delivered.')
      } catch (error) {
        for (const { reject } of pending.values()) reject(error)
      }
    })()
    return frames.get(key) ?? Promise.reject(new WorkspaceError('INTERNAL', 'A frame was dropped too early.'))
  }

  const cut = async (pack: PackIndex, chunk: PackChunk): Promise<Uint8Array> =>
    cutChunk(pack.packId, await load(pack, chunk.frame), chunk, repository.keys)

  return {
    fetchedBytes: () => fetched + (prefetched?.fetchedBytes() ?? 0),
    async read(id) {
      if (ahead && prefetched === null) {
        const coming = prefetchTrees(repository, signal)
        locator.onIndex((pack) => coming.add(pack))
        prefetched = coming
      }
      const { pack, chunk } = await locator.locate(id)
      try {
        return await readTwice(() =>
          cut(pack, chunk).catch((error: unknown) => {
            frames.forget(`${pack.packId} ${chunk.frame}`)
            throw error
          }),
        )
      } catch (error) {
        throw damageIn(repository.packKey(pack.packId), error)
      }
    },
  }
}

/** The frames that were used last. */
function keepFrames() {
  const frames = new Map<string, Promise<Uint8Array>>()
  const anew = new Set<string>()
  return {
    has: (key: string): boolean => frames.has(key),
    get: (key: string): Promise<Uint8Array> | undefined => frames.get(key),
    use(key: string): Promise<Uint8Array> | undefined {
      const known = frames.get(key)
      if (known === undefined) return undefined
      frames.delete(key)
      frames.set(key, known)
      return known
    },
    keep(key: string, frame: Promise<Uint8Array>): Promise<Uint8Array> {
      frame.catch(() => undefined)
      frames.set(key, frame)
      if (frames.size > FRAMES_KEPT) frames.delete(frames.keys().next().value ?? key)
      return frame
    },
    /** Once: whoever else waits for the frame finds the one that is read anew. */
    forget(key: string): void {
      if (!anew.has(key)) frames.delete(key)
      anew.add(key)
    },
    isAnew: (key: string): boolean => anew.has(key),
  }
}

/** Children are stored before their parents, so the frames that are asked for next lie before this one. */
function treeFramesFrom(pack: PackIndex, frame: number): number[] {
  const wanted = [frame]
  for (let number = frame - 1; number >= 0 && wanted.length < TREE_FRAMES_AHEAD; number -= 1) {
    if (pack.frames[number]?.kind !== 'tree') break
    wanted.unshift(number)
  }
  return wanted
}
