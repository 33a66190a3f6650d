import { Buffer } from 'node:buffer'
import zlib from 'node:zlib'
import { WorkspaceError } from '../errors.ts'
import type { ObjectInfo } from '../store/object-store.ts'
import type { ArtifactInfo } from './artifact-store.ts'

/*
 * An artifact is one object: its content, then what is known about it only at the end of a stream. One put writes
 * both, so they cannot disagree: a line feed and JSON, then in hexadecimal digits the CRC-32 and the length of that
 * text, 8 each, then `wsartif1`.
 */
const MAGIC = 'wsartif1'
const FOOTER_BYTES = 24
/** No trailer is longer: a content type has at most 255 characters. */
export const MAX_TRAILER_BYTES = 1_024

interface Trailer {
  readonly size: number
  readonly sha256: string
  readonly contentType: string
}

export function encodeArtifactTrailer(trailer: Trailer): Buffer {
  const text = `\n${JSON.stringify(trailer)}`
  return Buffer.from(`${text}${hex(zlib.crc32(text))}${hex(text.length)}${MAGIC}`, 'latin1')
}

/** What the last bytes of an object say: the whole trailer must be among them. @throws `CORRUPT` */
export function decodeArtifactTrailer(key: string, tail: Buffer, object: ObjectInfo): ArtifactInfo {
  const textEnd = tail.length - FOOTER_BYTES
  const footer = tail.toString('latin1', Math.max(0, textEnd))
  if (textEnd < 0 || footer.slice(16) !== MAGIC)
    throw damaged(key, 'it has no end mark; it was cut short or is not an artifact')
  const textBytes = Number.parseInt(footer.slice(8, 16), 16)
  const text = textBytes <= textEnd ? tail.toString('latin1', textEnd - textBytes, textEnd) : ''
  const trailer = hex(zlib.crc32(text)) === footer.slice(0, 8) ? parseTrailer(text) : null
  if (trailer === null || trailer.size !== object.size - textBytes - FOOTER_BYTES)
    throw damaged(key, 'its trailer is not what was written')
  return { key, ...trailer, modifiedAt: object.modifiedAt }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0')
}

export function damaged(key: string, reason: string): WorkspaceError {
  const message = `The artifact ${JSON.stringify(key)} is damaged: ${reason}. Make it again.`
  return new WorkspaceError('CORRUPT', message, { details: { key } })
}

function parseTrailer(text: string): Trailer | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { size, sha256, contentType } = value as Record<string, unknown>
  if (typeof size !== 'number' || typeof contentType !== 'string') return null
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) return null
  return { size, sha256, contentType }
}
