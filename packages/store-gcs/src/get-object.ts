import {
  callFailure,
  type ByteRange,
  type GetOptions,
  type HttpResponse,
  type ObjectInfo,
  type StoredObject,
  bodyChecksum,
  isOtherRange,
  receiveBody,
  receiveChunks,
  type BodyChecksum,
} from '@ws/core'
import { Crc32c } from './crc32c.ts'
import type { GcsClient } from './gcs-client.ts'
import { notTheService } from './gcs-error.ts'
import { headObject } from './head-object.ts'
import type { ObjectResource } from './object-resource.ts'

/** What is known of an object's metadata, by key: good for exactly one generation and metageneration. */
export type KnownMetadata = Map<string, ObjectResource>

const MAX_KNOWN = 1_000
const MAX_ATTEMPTS = 5

/**
 * Opens an object. The bytes and the description come in two answers, asked for at once; they are matched by
 * generation, so that both are of one object. A reader of many ranges asks for the description once.
 */
export async function getObject(
  client: GcsClient,
  key: string,
  options: GetOptions,
  known: KnownMetadata,
): Promise<StoredObject | null> {
  const { range, signal } = options
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const stop = new AbortController()
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
    try {
      const [media, described] = await Promise.all([
        openMedia(client, key, range, either),
        known.get(key) ?? headObject(client, key, either),
      ])
      if (described === null) {
        stop.abort()
        return null
      }
      if (media.status === 401 || media.status === 403) {
        const reason = 'the credentials may see the object but not read it; grant them storage.objects.get'
        throw callFailure({ action: 'read', key }, 'ACCESS_DENIED', reason, { status: media.status })
      }
      const isThere = media.status !== 404
      const matching = isThere ? await matchDescription(client, key, media, described, either) : null
      if (matching !== null) {
        remember(known, key, matching)
        return openBody(media, matching.info, options, stop)
      }
    } catch (error) {
      stop.abort()
      signal?.throwIfAborted()
      throw error
    }
    // It was replaced or deleted between the two answers.
    stop.abort()
    known.delete(key)
  }
  throw callFailure(
    { action: 'read', key },
    'UNAVAILABLE',
    'it was replaced again and again meanwhile; try again',
  )
}

/**
 * The answer that holds the bytes. Refusals of this kind of request are plain text; what they mean is left to the
 * description that was asked for beside it.
 */
async function openMedia(
  client: GcsClient,
  key: string,
  range: ByteRange | undefined,
  signal: AbortSignal,
): Promise<HttpResponse> {
  const call = { action: 'read', key }
  const bytes =
    range === undefined
      ? {}
      : { range: `bytes=${range.start}-${range.end === undefined ? '' : range.end - 1}` }
  const response = await client.send({
    ...call,
    method: 'GET',
    query: { alt: 'media' },
    // What is stored compressed comes as it is stored, and matches its length and checksum.
    headers: { 'accept-encoding': 'gzip', ...bytes },
    signal,
    accept: range === undefined ? [401, 403, 404] : [401, 403, 404, 416],
  })
  if ([401, 403, 404].includes(response.status)) {
    response.discard()
    return response
  }
  if (response.status === 416) {
    response.discard()
    throw callFailure(
      call,
      'INVALID_INPUT',
      `the range starts at ${range?.start}, at or past the end of the object`,
    )
  }
  if (response.header('x-goog-generation') === null) throw notTheService(call, response.status)
  if (response.status !== (range === undefined ? 200 : 206)) throw notTheService(call, response.status)
  // Something on the way has packed what was not stored so.
  const encoding = response.header('content-encoding') ?? 'identity'
  if (encoding !== 'identity' && encoding !== (response.header('x-goog-stored-content-encoding') ?? encoding))
    throw notTheService(call, response.status)
  return response
}

async function matchDescription(
  client: GcsClient,
  key: string,
  media: HttpResponse,
  described: ObjectResource,
  signal: AbortSignal,
): Promise<ObjectResource | null> {
  const generation = media.header('x-goog-generation') ?? ''
  const metageneration = media.header('x-goog-metageneration')
  const isSame = described.info.etag === generation && described.metageneration === metageneration
  if (isSame) return described
  return headObject(client, key, signal, generation)
}

function openBody(
  media: HttpResponse,
  info: ObjectInfo,
  { range, signal, reusesChunks }: GetOptions,
  stop: AbortController,
): StoredObject {
  const start = range?.start ?? 0
  if (isOtherRange(media.header('content-range'), start, info.size))
    throw notTheService({ action: 'read', key: info.key }, media.status)
  const expected = Math.min(range?.end ?? info.size, info.size) - start
  const claimed = /(?:^|,)crc32c=([^,]+)/.exec(media.header('x-goog-hash') ?? '')?.[1]
  const checksum = range === undefined && claimed !== undefined ? checkCrc32c(claimed) : undefined
  let isWhole = false
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let received = 0
    try {
      for await (const chunk of receiveChunks(media.body, reusesChunks)) {
        received += chunk.length
        isWhole = received >= expected
        yield chunk
      }
    } finally {
      // The connection of one that has come whole and was not asked for its end is free then.
      media.discard()
    }
  }
  return {
    info: { ...info, modifiedAt: new Date(info.modifiedAt), metadata: { ...info.metadata } },
    body: receiveBody({
      key: info.key,
      chunks: chunks(),
      expected,
      checksum,
      stop: () => stop.abort(),
      signal,
    }),
    checksum,
    async discard() {
      if (!isWhole) stop.abort()
    },
  }
}

function checkCrc32c(claimed: string): BodyChecksum {
  const crc32c = new Crc32c()
  return bodyChecksum(
    (chunk) => crc32c.update(chunk),
    () => (crc32c.toString() === claimed ? null : 'its CRC32C is not the one that the service has for it'),
  )
}

function remember(known: KnownMetadata, key: string, resource: ObjectResource): void {
  known.delete(key)
  known.set(key, resource)
  const [oldest] = known.keys()
  if (known.size > MAX_KNOWN && oldest !== undefined) known.delete(oldest)
}
