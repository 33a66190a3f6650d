import { Buffer } from 'node:buffer'

const FIRST_BUFFER_BYTES = 65_536

export interface BodyPart {
  /** Valid until the next part is asked for. */
  readonly bytes: Buffer
  readonly isLast: boolean
}

/**
 * For adapters: cuts the chunks of a body into parts of `partBytes` and a last one, which is empty only when the whole body
 * is. Chunks are copied (their source may use the memory anew) into one buffer that grows to the size of a part; a body
 * that is in memory as a whole is not.
 */
export async function* readParts(
  whole: Uint8Array | undefined,
  chunks: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<BodyPart, void, undefined> {
  let buffer = Buffer.allocUnsafe(0)
  let filled = 0
  for await (const chunk of chunks) {
    if (whole !== undefined) {
      let at = 0
      for (; chunk.length - at > partBytes; at += partBytes)
        yield { bytes: view(chunk, at, at + partBytes), isLast: false }
      buffer = view(chunk, at, chunk.length)
      filled = buffer.length
      continue
    }
    for (let at = 0; at < chunk.length;) {
      if (filled === partBytes) {
        yield { bytes: buffer, isLast: false }
        filled = 0
      }
      const taken = Math.min(chunk.length - at, partBytes - filled)
      buffer = withRoom(buffer, filled, taken, partBytes)
      buffer.set(chunk.subarray(at, at + taken), filled)
      filled += taken
      at += taken
    }
  }
  yield { bytes: buffer.subarray(0, filled), isLast: true }
}

function withRoom(
  buffer: Buffer<ArrayBuffer>,
  filled: number,
  more: number,
  partBytes: number,
): Buffer<ArrayBuffer> {
  if (buffer.length >= filled + more) return buffer
  const size = Math.min(partBytes, Math.max(FIRST_BUFFER_BYTES, 2 * buffer.length, filled + more))
  const larger = Buffer.allocUnsafe(size)
  buffer.copy(larger, 0, 0, filled)
  return larger
}

function view(bytes: Uint8Array, from: number, to: number): Buffer<ArrayBuffer> {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + from, to - from)
}
