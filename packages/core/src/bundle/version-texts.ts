import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../errors.ts'
import type { VersionDetails } from './bundle-store.ts'

/** Every reader of a history reads them: a megabyte is far more than words need, and far less than a record may have. */
const MAX_TEXT_BYTES = 1024 * 1024

export interface VersionTexts {
  readonly message: string
  readonly author: string | null
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * What is said of a version, as its record can hold it. Half of a surrogate pair, as in a message that was cut to a length,
 * has no UTF-8 and becomes U+FFFD.
 * @throws `INVALID_INPUT` for more than a mebibyte
 */
export function versionTexts({
  message = '',
  author,
  metadata = {},
  tags = [],
}: Pick<VersionDetails, 'message' | 'author' | 'metadata' | 'tags'>): VersionTexts {
  const texts = {
    message: message.toWellFormed(),
    author: author?.toWellFormed() ?? null,
    metadata: Object.fromEntries(
      Object.entries(metadata).map(([name, value]) => [name.toWellFormed(), value.toWellFormed()]),
    ),
  }
  const bytes = Buffer.byteLength(JSON.stringify({ ...texts, tags }))
  if (bytes <= MAX_TEXT_BYTES) return texts
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The message, author, metadata and tags of a version may take 1 MiB together, not ${bytes} bytes. Keep what is larger in a file, or as an artifact.`,
    { details: { bytes, maxBytes: MAX_TEXT_BYTES } },
  )
}
