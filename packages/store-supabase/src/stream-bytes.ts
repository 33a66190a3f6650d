import type { Buffer } from 'node:buffer'

const PIECE_BYTES = 65_536

/** The bytes as a stream of views of them. `fetch` copies what it gets as a whole, and each piece of an iterable. */
export function streamBytes(bytes: Buffer): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.subarray(at, (at += PIECE_BYTES)))
    },
  })
}
