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
 * are copies, since a source may reuse its memory; parts of an array are views of it.
 */
export function bodyParts(
  key: string,
  body: ObjectBody,
  options: PutOptions,
  sizes: PartSizes,
): AsyncGenerator<BodyPart, void, undefined> {
  // Progress is what arrived, which nobody knows here.
  const { size, signal } = options
  const chunks = readBody(key, body, { size, signal })
  return body instanceof Uint8Array ? views(chunks, sizes) : copies(chunks, sizes, size)
}

async function* views(chunks: AsyncIterable<Uint8Array>, sizes: PartSizes): AsyncGenerator<BodyPart> {
  const release = (): void => undefined
  let last: Uint8Array = new Uint8Array(0)
  // One chunk, or none: the end of the source is awaited before the last part goes out.
  for await (const chunk of chunks) {
    const step = chunk.length <= sizes.singlePutBytes ? chunk.length : sizes.partBytes
    let start = 0
    for (; start + step < chunk.length; start += step)
      yield { bytes: chunk.subarray(start, start + step), isLast: false, release }
    last = chunk.subarray(start)
  }
  yield { bytes: last, isLast: true, release }
}

async function* copies(
  chunks: AsyncIterable<Uint8Array>,
  { partBytes }: PartSizes,
  size: number | undefined,
): AsyncGenerator<BodyPart> {
  const spare: Uint8Array[] = []
  const allocate = (bytes: number): Uint8Array =>
    bytes < partBytes ? Buffer.allocUnsafeSlow(bytes) : (spare.pop() ?? Buffer.allocUnsafeSlow(partBytes))
  let part = allocate(size ?? FIRST_BYTES)
  let filled = 0
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.length;) {
      if (filled === partBytes) {
        const full = part
        yield { bytes: full, isLast: false, release: () => spare.push(full) }
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
  yield { bytes: part.subarray(0, filled), isLast: true, release: () => undefined }
}
