import type { Bucket } from '@google-cloud/storage'
import { WorkspaceError, type SignedUrlOptions } from '@ws/core'
import { signingFailure } from './gcs-error.ts'

const DEFAULT_EXPIRY_MS = 900_000
/** A limit of V4 signatures. */
const MAX_EXPIRY_MS = 7 * 86_400_000

/** A V4 signed URL. With a service account's key it is made here; other credentials ask the IAM service to sign. */
export async function signObjectUrl(bucket: Bucket, key: string, options: SignedUrlOptions): Promise<URL> {
  const { method, expiresInMs = DEFAULT_EXPIRY_MS, signal } = options
  if (!Number.isFinite(expiresInMs) || expiresInMs <= 0 || expiresInMs > MAX_EXPIRY_MS)
    throw new WorkspaceError(
      'INVALID_INPUT',
      `A signed URL works for more than 0 and at most ${MAX_EXPIRY_MS} ms (7 days); expiresInMs is ${expiresInMs}.`,
      { details: { key } },
    )
  try {
    const [url] = await bucket.file(key).getSignedUrl({
      version: 'v4',
      action: method === 'PUT' ? 'write' : 'read',
      expires: Date.now() + Math.ceil(expiresInMs / 1_000) * 1_000,
    })
    signal?.throwIfAborted()
    return new URL(url)
  } catch (error) {
    signal?.throwIfAborted()
    throw signingFailure(error, key)
  }
}
