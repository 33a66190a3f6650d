import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { GetObjectCommand } from '@aws-sdk/client-s3'
import { WorkspaceError, plainEtag } from '@ws/core'
import { deleteObject } from './delete-object.ts'
import { headObject } from './head-object.ts'
import { isHashEtag, type EtagFacts } from './object-info.ts'
import type { S3Calls } from './s3-calls.ts'

/** About a millisecond of hashing at a time, so that the event loop lives. */
const HASH_SLICE_BYTES = 1_048_576

/** One piece of an upload, as it was sent. */
export interface SentPart {
  readonly length: number
  readonly md5: Buffer
}

/**
 * Makes sure that what was stored is what was sent, where the service has not shown a checksum of it.
 *
 * The etag of one put is the MD5 of the object, that of a multipart upload the MD5 of its parts' MD5s. Where one looks
 * like a hash and is another, the object is read back: if it is right, this service makes other etags, and the store
 * remembers that. Where etags are no hashes (with keys of KMS, or of the customer), the size is compared.
 * @throws `CORRUPT` when something else is stored; it is removed
 */
export async function confirmUpload(
  calls: S3Calls,
  key: string,
  answer: EtagFacts,
  parts: readonly SentPart[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const etag = plainEtag(answer.ETag ?? '')
  if (etag === hashOf(parts) || etag === multipartHashOf(parts)) return
  if (calls.memory.etagsAreHashes && isHashEtag(answer)) {
    const stored = await compareStored(calls, key, etag, parts, signal)
    if (stored === 'same') calls.memory.etagsAreHashes = false
    if (stored !== 'different') return
  } else {
    const stored = await headObject(calls, key, signal)
    let size = 0
    for (const { length } of parts) size += length
    // Under another etag it is already somebody else's.
    if (stored?.etag !== etag || stored.size === size) return
  }
  await deleteObject(calls, key, signal)
  throw new WorkspaceError(
    'CORRUPT',
    `Cannot put ${JSON.stringify(key)} in S3: other bytes arrived than were sent, and were removed again. Put it again; if that goes on, look for a proxy or a gateway that changes requests.`,
    { details: { key, bucket: calls.bucket } },
  )
}

export function base64Crc32(value: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes.toString('base64')
}

export async function md5Of(bytes: Uint8Array): Promise<Buffer> {
  const hash = createHash('md5')
  for (let start = 0; start < bytes.length; start += HASH_SLICE_BYTES) {
    if (start > 0) await yieldToEventLoop()
    hash.update(bytes.subarray(start, start + HASH_SLICE_BYTES))
  }
  return hash.digest()
}

function hashOf(parts: readonly SentPart[]): string | null {
  return parts.length === 1 ? (parts[0]?.md5.toString('hex') ?? null) : null
}

function multipartHashOf(parts: readonly SentPart[]): string {
  const hash = createHash('md5')
  for (const { md5 } of parts) hash.update(md5)
  return `${hash.digest('hex')}-${parts.length}`
}

async function compareStored(
  calls: S3Calls,
  key: string,
  etag: string,
  parts: readonly SentPart[],
  signal: AbortSignal | undefined,
): Promise<'same' | 'different' | 'replaced'> {
  const command = new GetObjectCommand({ Bucket: calls.bucket, Key: calls.base + key })
  const about = { action: 'read back', key }
  const { output } = await calls.send(command, about, signal)
  if (plainEtag(output.ETag ?? '') !== etag) return 'replaced'
  const expected = parts.filter(({ length }) => length > 0).values()
  let part = expected.next().value
  let hash = createHash('md5')
  let filled = 0
  for await (const chunk of calls.read(output.Body, about, signal)) {
    for (let start = 0; start < chunk.length;) {
      if (part === undefined) return 'different'
      const piece = chunk.subarray(start, start + part.length - filled)
      hash.update(piece)
      filled += piece.length
      start += piece.length
      if (filled < part.length) continue
      if (!hash.digest().equals(part.md5)) return 'different'
      part = expected.next().value
      hash = createHash('md5')
      filled = 0
    }
  }
  return part === undefined ? 'same' : 'different'
}
