import { damagedContent, conditionFailed, type HttpResponse } from '@ws/core'
import { readJson, type GcsClient } from './gcs-client.ts'
import { notTheService, responseFailure } from './gcs-error.ts'
import { parseObjectResource, type ObjectResource } from './object-resource.ts'

/** What a put sends beside the bytes. */
export interface PutTarget {
  readonly key: string
  readonly query: Readonly<Record<string, string>>
  readonly resource: Readonly<Record<string, unknown>>
  readonly condition: 'ifAbsent' | 'ifMatch' | undefined
  /** A stream is read once, and a put with a condition is not repeated by those above, who cannot tell why it failed. */
  readonly isOnlyHere: boolean
  readonly signal: AbortSignal | undefined
}

/** The description of what was put, once it is certain to be what was sent. */
export async function readStoredObject(
  client: GcsClient,
  response: HttpResponse,
  target: PutTarget,
  size: number,
  crc32c: string,
): Promise<ObjectResource> {
  const { key, condition, signal } = target
  const call = { action: 'put', key, signal }
  if (response.status === 412 && condition !== undefined) {
    response.discard()
    throw conditionFailed(key, condition)
  }
  if (!response.isSuccess) throw await responseFailure(response, call, client.bucket.name)
  const stored = parseObjectResource(await readJson(response, call))
  if (stored?.info.key !== key) throw notTheService(call, response.status)
  if (stored.info.size === size && (stored.crc32c ?? crc32c) === crc32c) return stored
  // The service refuses such a body itself; what lets it through must not leave it to readers.
  const query = { ifGenerationMatch: stored.info.etag }
  const removal = await client.send({
    action: 'put',
    key,
    method: 'DELETE',
    query,
    signal,
    // So soon after the put, and not that of another call.
    isOnlyHere: true,
    accept: [404, 412],
  })
  removal.discard()
  throw damagedContent(
    key,
    `the service stored ${stored.info.size} bytes that are not the ${size} that were sent, so it was removed`,
  )
}
