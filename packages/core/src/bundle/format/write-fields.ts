import type { Buffer } from 'node:buffer'

const HIGH = 2 ** 32

/**
 * Eight bytes, little-endian, as {@link ByteReader} reads them. A number of 64 bits would have to be made for each.
 * @param value a whole number from 0 to 2^53 - 1
 * @returns the position after it
 */
export function writeUint64(target: Buffer, value: number, position: number): number {
  const high = Math.floor(value / HIGH)
  const next = target.writeUInt32LE(value - high * HIGH, position)
  return target.writeUInt32LE(high, next)
}

/** @param value a whole number from -(2^53 - 1) to 2^53 - 1 */
export function writeInt64(target: Buffer, value: number, position: number): number {
  const high = Math.floor(value / HIGH)
  const next = target.writeUInt32LE(value - high * HIGH, position)
  return target.writeInt32LE(high, next)
}
