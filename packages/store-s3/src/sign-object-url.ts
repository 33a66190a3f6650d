import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { WorkspaceError, unlessAborted, type SignedUrlOptions } from '@ws/core'
import type { S3Calls } from './s3-calls.ts'

const DEFAULT_EXPIRY_MS = 900_000
/** Signatures of version 4 last no longer than a week. */
const MAX_EXPIRY_MS = 604_800_000

/** A URL for one call on one key. It needs no request, so it does not tell whether the key or the bucket exists. */
export async function signObjectUrl(calls: S3Calls, key: string, options: SignedUrlOptions): Promise<URL> {
  const { method, expiresInMs = DEFAULT_EXPIRY_MS, signal } = options
  if (!Number.isFinite(expiresInMs) || expiresInMs < 1_000 || expiresInMs > MAX_EXPIRY_MS)
    throw new WorkspaceError(
      'INVALID_INPUT',
      `Cannot sign a URL for ${JSON.stringify(key)}: expiresInMs must be from 1000 to ${MAX_EXPIRY_MS}.`,
      { details: { key, maxMs: MAX_EXPIRY_MS } },
    )
  const input = { Bucket: calls.bucket, Key: calls.base + key }
  const expiry = { expiresIn: Math.floor(expiresInMs / 1_000) }
  try {
    const signing =
      method === 'PUT'
        ? getSignedUrl(calls.client, withoutChecksum(new PutObjectCommand(input)), expiry)
        : getSignedUrl(calls.client, new GetObjectCommand(input), expiry)
    return new URL(await unlessAborted(signing, signal))
  } catch (error) {
    signal?.throwIfAborted()
    throw await calls.translate(error, { action: 'sign a URL for', key })
  }
}

/** The SDK would sign the checksum of the empty body that it has here, which no upload will have. */
function withoutChecksum(command: PutObjectCommand): PutObjectCommand {
  command.middlewareStack.add(
    (next) => (input) => {
      const { headers } = input.request as { headers: Record<string, string> }
      for (const name of Object.keys(headers))
        if (/^x-amz-(?:checksum-|sdk-checksum-)/.test(name)) delete headers[name]
      return next(input)
    },
    { step: 'build', name: 'wsSignNoChecksum', priority: 'low' },
  )
  return command
}
