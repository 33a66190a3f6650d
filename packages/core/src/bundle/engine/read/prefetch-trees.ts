import { readStoredFrames } from '../../format/pack-reader.ts'
import type { PackIndex } from '../../format/pack-index.ts'
import type { Repository } from '../repository/repository.ts'

/** Tree frames of several packs that are on their way. */
export interface PrefetchedTrees {
  /** Asks for all tree frames of a pack, as far as all that was asked for takes no more than 8 MiB, which are kept. */
  add(pack: PackIndex): void
  /**
   * By `<pack id> <frame number>`, as they are stored. `null` stands for a frame that did not come: whoever needs it asks
   * again, and is told why.
   */
  readonly frames: ReadonlyMap<string, Promise<Uint8Array | null>>
  fetchedBytes(): number
}

const MAX_BYTES = 8 * 1024 * 1024

export function prefetchTrees(repository: Repository, signal: AbortSignal | undefined): PrefetchedTrees {
  const frames = new Map<string, Promise<Uint8Array | null>>()
  let fetchedBytes = 0
  let bytesLeft = MAX_BYTES
  return {
    frames,
    fetchedBytes: () => fetchedBytes,
    add(pack) {
      const numbers: number[] = []
      for (const [number, { kind, storedBytes }] of pack.frames.entries())
        if (kind === 'tree' && (bytesLeft -= storedBytes) >= 0) numbers.push(number)
      const pending = new Map(numbers.map((number) => [number, Promise.withResolvers<Uint8Array | null>()]))
      for (const [number, { promise }] of pending) frames.set(`${pack.packId} ${number}`, promise)
      const read = async (): Promise<void> => {
        for await (const { frame, stored } of readStoredFrames(repository, pack, numbers, signal)) {
          fetchedBytes += stored.length
          pending.get(frame)?.resolve(stored)
        }
      }
      void read()
        .catch(() => undefined)
        .finally(() => {
          for (const { resolve } of pending.values()) resolve(null)
        })
    },
  }
}
