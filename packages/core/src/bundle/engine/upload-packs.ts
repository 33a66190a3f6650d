import type { PackReference } from '../format/version-record.ts'
import type { Repository } from './repository.ts'

/** Puts packs into the store while the next is made. A pack is one put of bytes in memory, so that it can be retried. */
export interface PackUploads {
  /** Resolves when there is room for another. @throws what an earlier put failed with */
  put(reference: PackReference, bytes: Uint8Array): Promise<void>
  /** Resolves when everything is in the store. @throws what a put failed with */
  settle(): Promise<void>
  readonly uploadedBytes: () => number
}

const MAX_IN_FLIGHT = 2

export function uploadPacks(repository: Repository, signal: AbortSignal | undefined): PackUploads {
  const running = new Set<Promise<void>>()
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
          () => void (uploadedBytes += bytes.length),
          (error: unknown) => void (failure ??= { error }),
        )
        .finally(() => running.delete(upload))
      running.add(upload)
      while (running.size >= MAX_IN_FLIGHT) await Promise.race(running)
      throwFailure()
    },
    async settle() {
      await Promise.all(running)
      throwFailure()
    },
    uploadedBytes: () => uploadedBytes,
  }
}
