import type { BodyChecksum } from './object-store.ts'

/** For adapters: the checksum of a body that is read as a whole, for `StoredObject.checksum`. */
export function bodyChecksum(
  update: (chunk: Uint8Array) => void,
  problem: () => string | null,
): BodyChecksum {
  let bytes = 0
  /** Asked for once: a hash that has given its digest gives no second one. */
  let found: { readonly problem: string | null } | null = null
  return {
    get bytes() {
      return bytes
    },
    update(chunk) {
      bytes += chunk.length
      update(chunk)
    },
    problem: () => (found ??= { problem: problem() }).problem,
  }
}
