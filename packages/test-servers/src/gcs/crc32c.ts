import { Buffer } from 'node:buffer'

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value
})

/** CRC-32 with Castagnoli's polynomial (RFC 3720), in base64 of its big-endian bytes, as the service writes it. */
export function crc32cOf(chunks: readonly Uint8Array[]): string {
  let crc = 0xffffffff
  for (const chunk of chunks) for (const byte of chunk) crc = (table[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE((crc ^ 0xffffffff) >>> 0)
  return bytes.toString('base64')
}
