import { Buffer } from 'node:buffer'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { corrupt } from './archive-error.ts'
import { blockSum } from './tar-header.ts'

/** Text up to the first NUL, or the whole field. */
export function readText(block: Buffer, offset: number, length: number): ByteString {
  const end = block.subarray(offset, offset + length).indexOf(0)
  return block.toString('latin1', offset, offset + (end === -1 ? length : end))
}

/**
 * A number as tar writes it: octal digits between optional blanks, or GNU's base-256 for what does not fit.
 * Everything else is refused; readers that guess here disagree about where the next header begins.
 */
export function readNumber(block: Buffer, offset: number, length: number, field: string): number {
  const lead = block[offset] ?? 0
  if (lead === 0x80 || lead === 0xff) return readBase256(block, offset, length, field, lead === 0xff)
  let index = offset
  const end = offset + length
  while (index < end && block[index] === 0x20) index += 1
  let value = 0
  for (; index < end; index += 1) {
    const digit = (block[index] ?? 0) - 0x30
    if (digit < 0 || digit > 7) break
    value = value * 8 + digit
  }
  for (; index < end; index += 1) {
    if (block[index] !== 0x20 && block[index] !== 0) throw corrupt(`a header has a malformed ${field}`)
  }
  return value
}

function readBase256(
  block: Buffer,
  offset: number,
  length: number,
  field: string,
  isNegative: boolean,
): number {
  let value = isNegative ? -1n : 0n
  for (let index = offset + 1; index < offset + length; index += 1) {
    value = value * 256n + BigInt(block[index] ?? 0)
  }
  const number = Number(value)
  if (!Number.isSafeInteger(number) || (isNegative && field !== 'time')) {
    throw corrupt(`a header has a ${field} out of range`)
  }
  return number
}

export function parseSize(text: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw corrupt('a decimal size is malformed')
  return value
}

export function hasValidChecksum(block: Buffer): boolean {
  const written = readText(block, 148, 8).trim()
  if (!/^[0-7]{1,7}$/.test(written)) return false
  let field = 0
  for (let index = 148; index < 156; index += 1) field += block[index] ?? 0
  return Number.parseInt(written, 8) === blockSum(block, 0) - field + 8 * 0x20
}

export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(zeroBlock)
}

const zeroBlock = Buffer.alloc(512)
