import type { PackReference } from '../format/version-record.ts'
import type { Repository } from './repository.ts'

/** Puts packs into the store while the next is made. A pack is one put of bytes in memory, so that it can be retried. */
export interface PackUploads {
  /**
   * Takes the memory of the bytes. Resolves when there is room for another, with the memory of one that is in the store,
   * if there is one. @throws what an earlier put failed with
   */
  put(reference: PackReference, bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer | null>
  /** Resolves when everything is in the store. @throws what a put failed with */
  settle(): Promise<void>
  readonly uploadedBytes: () => number
}

const MAX_IN_FLIGHT = 2
const MIN_SPARE_BYTES = 1024 * 1024

export function uploadPacks(repository: Repository, signal: AbortSignal | undefined): PackUploads {
  const running = new Set<Promise<void>>()
  /** Of the last put that has succeeded: after one that failed, the store may still be reading. */
  let spare: ArrayBuffer | null = null
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
            if (bytes.buffer.byteLength >= MIN_SPARE_BYTES) spare = bytes.buffer
          },
          (error: unknown) => void (failure ??= { error }),
        )
        .finally(() => running.delete(upload))
      running.add(upload)
      while (running.size >= MAX_IN_FLIGHT) await Promise.race(running)
      throwFailure()
      const memory = spare
      spare = null
      return memory
    },
    async settle() {
      await Promise.all(running)
      throwFailure()
    },
    uploadedBytes: () => uploadedBytes,
  }
}
