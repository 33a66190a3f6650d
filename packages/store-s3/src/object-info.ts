import { plainEtag, type ObjectInfo } from '@ws/core'

/** What the store wants to know about a stored object, from any answer that describes one. */
export interface StoredFacts {
  readonly ETag?: string | undefined
  readonly LastModified?: Date | undefined
  readonly ContentType?: string | undefined
  readonly Metadata?: Record<string, string> | undefined
}

/** `null` when the answer lacks what every S3 service says about an object. */
export function toObjectInfo(key: string, size: number | undefined, facts: StoredFacts): ObjectInfo | null {
  const { ETag, LastModified, ContentType, Metadata } = facts
  if (ETag === undefined || LastModified === undefined || size === undefined) return null
  return {
    key,
    size,
    etag: plainEtag(ETag),
    modifiedAt: LastModified,
    ...(ContentType === undefined ? {} : { contentType: ContentType }),
    metadata: decodeMetadata(Metadata ?? {}),
  }
}

/*
 * HTTP trims values and may fold runs of spaces; some services drop a header without a value. A value that would not
 * survive is stored as `pct:` and its percent-encoding.
 */
const SAFE_VALUE = /^(?!pct:)[\x21-\x7e]+(?: [\x21-\x7e]+)*$/

export function encodeMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return mapValues(metadata, (value) => (SAFE_VALUE.test(value) ? value : `pct:${encodeURIComponent(value)}`))
}

function decodeMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return mapValues(metadata, (value) => {
    if (!value.startsWith('pct:')) return value
    try {
      return decodeURIComponent(value.slice('pct:'.length))
    } catch {
      // Somebody else's value that only looks like one of these.
      return value
    }
  })
}

function mapValues(
  record: Readonly<Record<string, string>>,
  change: (value: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]))
}

export interface EtagFacts {
  readonly ETag?: string | undefined
  readonly ServerSideEncryption?: string | undefined
  readonly SSECustomerAlgorithm?: string | undefined
}

/** Whether an etag should be the MD5 of content: with keys of KMS or of the customer it is not, says AWS. */
export function isHashEtag({ ETag, ServerSideEncryption, SSECustomerAlgorithm }: EtagFacts): boolean {
  if (SSECustomerAlgorithm !== undefined) return false
  if (ServerSideEncryption !== undefined && ServerSideEncryption !== 'AES256') return false
  return /^[0-9a-f]{32}(?:-\d+)?$/.test(plainEtag(ETag ?? ''))
}
