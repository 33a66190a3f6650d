import type { ContentId } from '../../format/content-id.ts'
import { decodeFrameInPool } from '../../format/frame.ts'
import { cutChunk } from '../../format/pack-reader.ts'
import type { ChunkPlace } from './chunk-locator.ts'
import { damageIn } from '../repository/damage.ts'
import { fetchFramesTwice } from './fetch-frames.ts'
import type { Repository } from '../repository/repository.ts'

/**
 * Chunks by their ids, each checked; frames that lie together are fetched together. Memory: the frames that hold them.
 * @throws `CORRUPT`; details hold the pack's key
 */
export async function fetchChunks(
  repository: Repository,
  places: Iterable<ChunkPlace>,
  signal?: AbortSignal,
): Promise<ReadonlyMap<ContentId, Uint8Array>> {
  const work = new Map<string, { pack: ChunkPlace['pack']; frame: number; chunks: ChunkPlace[] }>()
  for (const place of places) {
    const key = frameOf(place)
    const frame = work.get(key) ?? { pack: place.pack, frame: place.chunk.frame, chunks: [] }
    work.set(key, frame)
    frame.chunks.push(place)
  }
  const contents = new Map<ContentId, Uint8Array>()
  await fetchFramesTwice(repository, {
    work: [...work.values()],
    width: 4,
    signal,
    async onFrame(wanted, stored, onDamage) {
      const { pack, frame, chunks } = wanted
      try {
        const raw = await decodeFrameInPool(stored, { packId: pack.packId, frame }, repository.keys)
        for (const { chunk } of chunks)
          if (!contents.has(chunk.id))
            contents.set(chunk.id, cutChunk(pack.packId, raw, chunk, repository.keys))
      } catch (error) {
        onDamage(wanted, error)
      }
    },
    onDamage({ pack }, error) {
      throw damageIn(repository.packKey(pack.packId), error)
    },
  })
  return contents
}

/** The same text for chunks of one frame. */
export function frameOf({ pack, chunk }: ChunkPlace): string {
  return `${pack.packId} ${chunk.frame}`
}
