import { Buffer, isUtf8 } from 'node:buffer'
import type { ByteString } from './directory-handle.ts'

/**
 * File names are bytes; this library's API shows them as strings. A name that is UTF-8 is that string. A byte that
 * is not part of valid UTF-8 becomes the lone surrogate U+DC00 + byte, so that every name has a string, no two names
 * share one, and `JSON.stringify` keeps it (the scheme of Python's PEP 383, "surrogateescape").
 */
export function decodePath(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return isUtf8(buffer) ? buffer.toString('utf8') : decodeWithEscapes(buffer)
}

/** The same of a path that is a string of bytes. */
export function pathText(path: ByteString): string {
  return decodePath(Buffer.from(path, 'latin1'))
}

/** The bytes that a string from {@link decodePath} stands for. Lone surrogates outside U+DC80..U+DCFF become `?`. */
export function encodePath(path: string): Buffer {
  if (path.isWellFormed()) return Buffer.from(path, 'utf8')
  const parts: Buffer[] = []
  for (const character of path) {
    const code = character.codePointAt(0) ?? 0
    if (code >= 0xdc80 && code <= 0xdcff) parts.push(Buffer.from([code - 0xdc00]))
    else if (code >= 0xd800 && code <= 0xdfff) parts.push(Buffer.from('?'))
    else parts.push(Buffer.from(character, 'utf8'))
  }
  return Buffer.concat(parts)
}

function decodeWithEscapes(buffer: Buffer): string {
  let text = ''
  let position = 0
  while (position < buffer.length) {
    const length = validSequenceLength(buffer, position)
    if (length === 0) {
      text += String.fromCharCode(0xdc00 + (buffer[position] ?? 0))
      position += 1
    } else {
      text += buffer.toString('utf8', position, position + length)
      position += length
    }
  }
  return text
}

function validSequenceLength(buffer: Buffer, position: number): number {
  const lead = buffer[position] ?? 0
  const length =
    lead < 0x80
      ? 1
      : lead >= 0xc2 && lead < 0xe0
        ? 2
        : lead >= 0xe0 && lead < 0xf0
          ? 3
          : lead >= 0xf0 && lead < 0xf5
            ? 4
            : 0
  if (length === 0 || position + length > buffer.length) return 0
  return isUtf8(buffer.subarray(position, position + length)) ? length : 0
}
