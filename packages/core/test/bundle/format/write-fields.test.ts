import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readBytes } from '../../../src/bundle/format/byte-reader.ts'
import { writeInt64, writeUint64 } from '../../../src/bundle/format/write-fields.ts'

const edges = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]

describe('fields of eight bytes', () => {
  it('are those of a number of 64 bits, and are read as what was written', () => {
    const whole = fc.oneof(fc.constantFrom(...edges, ...edges.map((edge) => -edge)), fc.maxSafeInteger())
    fc.assert(
      fc.property(whole, (value) => {
        const expected = Buffer.alloc(17)
        const [bytes, size] = [Buffer.alloc(17), Math.abs(value)]
        expected.writeBigInt64LE(BigInt(value), 1)
        expect(writeInt64(bytes, value, 1)).toBe(9)
        expected.writeBigUInt64LE(BigInt(size), 9)
        expect(writeUint64(bytes, size, 9)).toBe(17)
        expect(bytes).toEqual(expected)
        const reader = readBytes(bytes.subarray(1), 'fields')
        expect([reader.int64(), reader.uint64()]).toEqual([Number(BigInt(value)), size])
      }),
      { numRuns: 1000 },
    )
  })
})
