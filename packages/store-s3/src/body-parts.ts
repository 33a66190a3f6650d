import { Buffer } from 'node:buffer'
import { readBody, type ObjectBody, type PutOptions } from '@ws/core'

export interface BodyPart {
  readonly bytes: Uint8Array
  readonly isLast: boolean
}

export interface PartSizes {
  /** The size of every part but the last. */
  readonly partBytes: number
  /** A body that is in memory already stays whole up to this size. */
  readonly singlePutBytes: number
}

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
  let held: Uint8Array | null = null
  for await (const bytes of body instanceof Uint8Array ? views(chunks, sizes) : copies(chunks, sizes)) {
    if (held !== null) yield { bytes: held, isLast: false }
    held = bytes
  }
  yield { bytes: held ?? new Uint8Array(0), isLast: true }
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
): AsyncGenerator<Uint8Array> {
  let pieces: Uint8Array[] = []
  let filled = 0
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length;) {
      const piece = Uint8Array.prototype.slice.call(chunk, start, start + partBytes - filled)
      pieces.push(piece)
      filled += piece.length
      start += piece.length
      if (filled === partBytes) {
        yield Buffer.concat(pieces)
        pieces = []
        filled = 0
      }
    }
  }
  if (filled > 0) yield Buffer.concat(pieces)
}
