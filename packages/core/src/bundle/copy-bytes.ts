import { Buffer } from 'node:buffer'

/**
 * Copies all of `from` to a place in `to`, fast where one of them is shared memory. There `TypedArray.set`, which Node calls
 * for a whole buffer, copies byte by byte: nothing may tear for a thread that reads meanwhile, of which there is none here.
 * For less than a whole buffer Node lets the C library do it, so the last byte is set by itself.
 */
export function copyBytes(from: Uint8Array, to: Uint8Array, place: number): void {
  const last = from.byteLength - 1
  if (last < 0) return
  Buffer.from(from.buffer).copy(to, place, from.byteOffset, from.byteOffset + last)
  to[place + last] = from[last] as number
}
