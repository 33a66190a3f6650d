import { Buffer } from 'node:buffer'

/** Table `k` says what a byte does to the checksum when `k` more bytes follow it. */
const [table0, table1, table2, table3, table4, table5, table6, table7] = makeTables()

/**
 * A running CRC-32 with Castagnoli's polynomial (RFC 3720, appendix B.4), eight bytes at a time ("slicing-by-8":
 * Kounavis and Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators", 2005).
 * The SDK's own goes byte by byte and takes six times as long.
 */
export class Crc32c {
  #value = -1

  update(bytes: Uint8Array): void {
    let value = this.#value
    const whole = bytes.length - (bytes.length % 8)
    const at = (index: number): number => bytes[index] as number
    let index = 0
    for (; index < whole; index += 8) {
      const first = value ^ (at(index) | (at(index + 1) << 8) | (at(index + 2) << 16) | (at(index + 3) << 24))
      value =
        pick(table7, first) ^
        pick(table6, first >>> 8) ^
        pick(table5, first >>> 16) ^
        pick(table4, first >>> 24) ^
        pick(table3, at(index + 4)) ^
        pick(table2, at(index + 5)) ^
        pick(table1, at(index + 6)) ^
        pick(table0, at(index + 7))
    }
    for (; index < bytes.length; index += 1) value = pick(table0, value ^ at(index)) ^ (value >>> 8)
    this.#value = value
  }

  /** As the service writes it: base64 of the four bytes, the highest first. */
  toString(): string {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(~this.#value)
    return bytes.toString('base64')
  }
}

function pick(table: Uint32Array, byte: number): number {
  return table[byte & 0xff] as number
}

type Tables = [
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
  Uint32Array,
]

function makeTables(): Tables {
  const tables = Array.from({ length: 8 }, () => new Uint32Array(256)) as Tables
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
    tables[0][byte] = value
  }
  for (let byte = 0; byte < 256; byte += 1) {
    let value = pick(tables[0], byte)
    for (const table of tables.slice(1)) {
      value = pick(tables[0], value) ^ (value >>> 8)
      table[byte] = value
    }
  }
  return tables
}
