import type { ContainerClient } from '@azure/storage-blob'
import { plainEtag, type ObjectInfo } from '@ws/core'
import { abortBy, callAbout, notFromService, nullIfAbsent } from './azure-error.ts'
import { decodeMetadata } from './blob-metadata.ts'
import { refuseRedirects } from './refuse-redirects.ts'

export function headObject(
  container: ContainerClient,
  key: string,
  signal: AbortSignal | undefined,
): Promise<ObjectInfo | null> {
  const blob = container.getBlobClient(key)
  const about = callAbout(container, 'read', key)
  const head = async (): Promise<ObjectInfo> => {
    const answer = await refuseRedirects(blob, about, () => blob.getProperties(abortBy(signal)))
    return toObjectInfo('read', key, answer, answer.contentLength)
  }
  return nullIfAbsent(head, about, signal)
}

interface BlobAnswer {
  readonly etag?: string | undefined
  readonly requestId?: string | undefined
  readonly lastModified?: Date | undefined
  readonly contentType?: string | undefined
  readonly metadata?: Record<string, string> | undefined
}

/** @throws `UNAVAILABLE` for an answer that is not the service's */
export function toObjectInfo(
  action: string,
  key: string,
  answer: BlobAnswer,
  size: number | undefined,
): ObjectInfo {
  const { etag, requestId, lastModified, contentType, metadata } = answer
  if (etag === undefined || requestId === undefined || lastModified === undefined || size === undefined)
    throw notFromService(action, key)
  return {
    key,
    size,
    etag: plainEtag(etag),
    modifiedAt: lastModified,
    ...(contentType === undefined ? {} : { contentType }),
    metadata: decodeMetadata(metadata),
  }
}
