import crypto, { createHmac } from 'node:crypto'
import type { RepositoryKeys } from './repository-keys.ts'

/** Names content by its bytes: 64 hexadecimal digits in lower case. */
export type ContentId = string

/**
 * SHA-256 of the content; in an encrypted repository HMAC-SHA-256 under the id key, so that an id tells nothing to
 * somebody without the key, not even whether two repositories hold the same file.
 */
export function contentIdOf(content: Uint8Array, keys: RepositoryKeys | null): ContentId {
  if (keys === null) return crypto.hash('sha256', content, 'hex')
  return createHmac('sha256', keys.contentId).update(content).digest('hex')
}

export function isContentId(value: unknown): value is ContentId {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}
