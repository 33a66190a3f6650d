import { Buffer } from 'node:buffer'
import { readBody, type ObjectBody, type PutOptions } from '@ws/core'

export interface BodyPart {
  readonly bytes: Uint8Array
  readonly isLast: boolean
  /** Says that the bytes are no longer needed, so that a later part can use their memory. */
  readonly release: () => void
}

export interface PartSizes {
  /** The size of every part but the last. */
  readonly partBytes: number
  /** A body that is in memory already stays whole up to this size. */
  readonly singlePutBytes: number
}

/** What a part of a stream begins with where nobody told the size; it grows as bytes come. */
const FIRST_BYTES = 65_536

/**
 * Cuts a body into parts of one size; the last may be shorter, and an empty body is one empty part. Parts of a stream
 * are copies, since a source may reuse its memory; parts of an array are views of it. One part is held back, to know
 * which is the last.
 */
export async function* bodyParts(
  key: string,
  body: ObjectBody,
  options: PutOptions,
  sizes: PartSizes,
): AsyncGenerator<BodyPart, void, undefined> {
  const chunks = readBody(key, body, options)
  const isWhole = body instanceof Uint8Array
  const spare: Uint8Array[] = []
  let held: Uint8Array | null = null
  const toPart = (bytes: Uint8Array, isLast: boolean): BodyPart => ({
    bytes,
    isLast,
    release() {
      if (!isWhole && bytes.length === sizes.partBytes) spare.push(bytes)
    },
  })
  for await (const bytes of isWhole ? views(chunks, sizes) : copies(chunks, sizes, options.size, spare)) {
    if (held !== null) yield toPart(held, false)
    held = bytes
  }
  yield toPart(held ?? new Uint8Array(0), true)
}

async function* views(chunks: AsyncIterable<Uint8Array>, sizes: PartSizes): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    const step = chunk.length <= sizes.singlePutBytes ? chunk.length : sizes.partBytes
    for (let start = 0; start < chunk.length; start += step) yield chunk.subarray(start, start + step)
  }
}

async function* copies(
  chunks: AsyncIterable<Uint8Array>,
  { partBytes }: PartSizes,
  size: number | undefined,
  spare: Uint8Array[],
): AsyncGenerator<Uint8Array> {
  const allocate = (bytes: number): Uint8Array =>
    bytes < partBytes ? Buffer.allocUnsafeSlow(bytes) : (spare.pop() ?? Buffer.allocUnsafeSlow(partBytes))
  let part = allocate(size ?? FIRST_BYTES)
  let filled = 0
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length;) {
      if (filled === partBytes) {
        yield part
        part = allocate(partBytes)
        filled = 0
      } else if (filled === part.length) {
        const larger = allocate(Math.max(part.length * 4, FIRST_BYTES))
        larger.set(part)
        part = larger
      }
      const taken = chunk.subarray(start, start + part.length - filled)
      part.set(taken, filled)
      filled += taken.length
      start += taken.length
    }
  }
  if (filled > 0) yield part.subarray(0, filled)
}
