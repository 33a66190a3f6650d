import { createChunker, type Chunker } from '../../format/chunker.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import { idlePool } from '../../idle-pool.ts'
import { READ_BUFFER_BYTES } from './read-runs.ts'

/** What one save cuts files with. */
export interface LentChunkers {
  take(): Chunker
  /** All that were taken. Nobody may use them any more, in no thread. */
  giveBack(): void
}

/** A save needs one; a second one where another thread cuts large files. */
const idleChunkers = idlePool<Chunker>({ maxItems: 2 })

/** Those that cut by keys go with their save; all others serve the next one. */
export function lendChunkers(keys: RepositoryKeys | null): LentChunkers {
  const taken: Chunker[] = []
  return {
    take() {
      const idle = keys === null ? idleChunkers.take() : undefined
      const chunker = idle ?? createChunker(keys, READ_BUFFER_BYTES)
      taken.push(chunker)
      return chunker
    },
    giveBack() {
      for (const chunker of taken.splice(0)) if (keys === null) idleChunkers.give(chunker)
    },
  }
}
