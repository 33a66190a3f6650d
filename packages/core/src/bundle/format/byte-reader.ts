import { Buffer } from 'node:buffer'
import { damagedObject } from './damaged-object.ts'

/** Reads little-endian fields one after the other. Every method throws `CORRUPT` rather than read past the end. */
export interface ByteReader {
  position(): number
  remaining(): number
  uint8(): number
  uint16(): number
  uint32(): number
  /** @throws `CORRUPT` above 2^53 - 1 too */
  uint64(): number
  uint64Exactly(): bigint
  /** @throws `CORRUPT` outside of ±(2^53 - 1) too */
  int64(): number
  /** A view, not a copy. */
  bytes(length: number): Buffer
  /** One character for each byte. */
  byteString(length: number): string
  hex(length: number): string
  /** @throws `CORRUPT` unless the next bytes are these */
  magic(expected: Uint8Array): void
  /** @throws `CORRUPT` unless everything has been read */
  end(): void
  fail(reason: string): never
}

/** @param object what damage is reported on */
export function readBytes(source: Uint8Array, object: string): ByteReader {
  const buffer = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  let position = 0
  const fail = (reason: string): never => {
    throw damagedObject(object, reason)
  }
  const take = (length: number): number => {
    const start = position
    if (length > buffer.length - start) fail(`it ends in the middle of a field (at byte ${start})`)
    position = start + length
    return start
  }
  const safe = (value: bigint): number => {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : fail(`a number is too large (${value})`)
  }
  const reader: ByteReader = {
    position: () => position,
    remaining: () => buffer.length - position,
    uint8: () => buffer.readUInt8(take(1)),
    uint16: () => buffer.readUInt16LE(take(2)),
    uint32: () => buffer.readUInt32LE(take(4)),
    uint64() {
      const start = take(8)
      const high = buffer.readUInt32LE(start + 4)
      return high < 2 ** 21
        ? high * 2 ** 32 + buffer.readUInt32LE(start)
        : safe(buffer.readBigUInt64LE(start))
    },
    uint64Exactly() {
      const start = take(8)
      // A number of this size needs memory of its own, and nearly all of them are 0.
      return buffer.readUInt32LE(start) === 0 && buffer.readUInt32LE(start + 4) === 0
        ? 0n
        : buffer.readBigUInt64LE(start)
    },
    int64: () => safe(buffer.readBigInt64LE(take(8))),
    bytes(length) {
      const start = take(length)
      return buffer.subarray(start, start + length)
    },
    byteString(length) {
      const start = take(length)
      return buffer.toString('latin1', start, start + length)
    },
    hex(length) {
      const start = take(length)
      return buffer.toString('hex', start, start + length)
    },
    magic(expected) {
      if (!reader.bytes(expected.length).equals(expected)) fail('it does not begin as it should')
    },
    end() {
      if (position !== buffer.length) fail(`${buffer.length - position} bytes follow its end`)
    },
    fail,
  }
  return reader
}
