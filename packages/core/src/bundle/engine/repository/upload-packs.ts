import type { PackReference } from '../../format/version-record.ts'
import { releaseBuffer } from '../../../store/release-buffer.ts'
import { storeDirectory } from '../../../store/store-directory.ts'
import { FULL_PACK_BYTES } from '../../format/pack-writer.ts'
import { idlePool } from '../../idle-pool.ts'
import type { Repository } from './repository.ts'

/** Puts packs into the store while the next is made. A pack is one put of bytes in memory, so that it can be retried. */
export interface PackUploads {
  /**
   * Takes the memory of the bytes. Resolves when there is room for another, with the memory of one that is in the store,
   * if there is one. @throws what an earlier put failed with
   */
  put(reference: PackReference, bytes: Uint8Array): Promise<ArrayBufferLike | null>
  /**
   * For packs of a thread, so that they need not be handed from thread to thread: a heap that gets and loses tens of
   * megabytes with each is collected each time. Where the store writes files; others may refuse shared memory.
   */
  sharedMemory(): readonly SharedArrayBuffer[]
  /** Resolves when everything is in the store. @throws what a put failed with */
  settle(): Promise<void>
  readonly uploadedBytes: () => number
}

const MAX_IN_FLIGHT = 2
const MIN_SPARE_BYTES = 1024 * 1024
/** For packs of store directories. */
const idleMemory = idlePool<SharedArrayBuffer>({ maxItems: MAX_IN_FLIGHT })

export function uploadPacks(repository: Repository, signal: AbortSignal | undefined): PackUploads {
  const running = new Set<Promise<void>>()
  /** Of puts that have succeeded: after one that failed, the store may still be reading. */
  const spare: ArrayBufferLike[] = []
  const shared: SharedArrayBuffer[] = []
  let failure: { readonly error: unknown } | null = null
  let uploadedBytes = 0
  const throwFailure = (): void => {
    if (failure !== null) throw failure.error
  }
  return {
    async put(reference, bytes) {
      throwFailure()
      const key = repository.packKey(reference.id)
      const upload = repository.store
        .put(key, bytes, { size: bytes.length, signal })
        .then(
          () => {
            uploadedBytes += bytes.length
            if (bytes.buffer.byteLength >= MIN_SPARE_BYTES) spare.push(bytes.buffer)
            else releaseBuffer(bytes)
          },
          (error: unknown) => void (failure ??= { error }),
        )
        .finally(() => running.delete(upload))
      running.add(upload)
      while (running.size >= MAX_IN_FLIGHT) await Promise.race(running)
      throwFailure()
      return spare.pop() ?? null
    },
    sharedMemory() {
      if (shared.length === 0 && storeDirectory(repository.store) !== null)
        for (let count = 0; count < MAX_IN_FLIGHT; count += 1)
          shared.push(idleMemory.take() ?? new SharedArrayBuffer(FULL_PACK_BYTES))
      return shared
    },
    async settle() {
      await Promise.all(running)
      throwFailure()
      for (const memory of spare.splice(0)) releaseBuffer(new Uint8Array(memory))
      for (const memory of shared.splice(0)) idleMemory.give(memory)
    },
    uploadedBytes: () => uploadedBytes,
  }
}
