import zlib from 'node:zlib'
import {
  damagedContent,
  discardAnswer,
  callFailure,
  plainEtag,
  type ByteRange,
  type GetOptions,
  type StoredObject,
  bodyChecksum,
  isOtherRange,
  receiveBody,
  receiveChunks,
  type BodyChecksum,
} from '@ws/core'
import { escapeKey } from './escape-key.ts'
import { headObject, type DescribedObject } from './head-object.ts'
import { answerOf } from './storage-fetch.ts'
import type { SupabaseConnection } from './supabase-client.ts'
import { isNoSuchObject, notTheService, problemFailure } from './supabase-error.ts'

const MAX_ATTEMPTS = 5

/**
 * Opens an object. The bytes and the description come in two answers, asked for at once; they are matched by etag, so
 * that both are of one object.
 */
export async function getObject(
  connection: SupabaseConnection,
  key: string,
  options: GetOptions,
): Promise<StoredObject | null> {
  const { range, signal } = options
  let isLost = false
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const stop = new AbortController()
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
    try {
      const [media, described] = await Promise.all([
        openMedia(connection, key, range, either),
        headObject(connection, key, either),
      ])
      if (described !== null && range !== undefined && range.start >= described.info.size)
        throw callFailure(
          { action: 'read', key },
          'INVALID_INPUT',
          `the range starts at ${range.start}, but the object has ${described.info.size} bytes`,
          { size: described.info.size },
        )
      if (described === null) {
        stop.abort()
        return null
      }
      if (media.kind === 'failed') throw media.error
      isLost = media.kind === 'absent'
      if (media.kind === 'open' && media.etag === described.info.etag)
        return openBody(media.response, described, options, stop)
    } catch (error) {
      stop.abort()
      signal?.throwIfAborted()
      throw error
    }
    // It was replaced or deleted between the two answers.
    stop.abort()
  }
  if (isLost) throw damagedContent(key, 'the service has its description and not its bytes')
  throw callFailure(
    { action: 'read', key },
    'UNAVAILABLE',
    'it was replaced again and again meanwhile; try again',
  )
}

type Media =
  | { readonly kind: 'open'; readonly response: Response; readonly etag: string }
  | { readonly kind: 'absent' }
  /** Some backends fail on a range past the end; the description tells. */
  | { readonly kind: 'failed'; readonly error: unknown }

async function openMedia(
  connection: SupabaseConnection,
  key: string,
  range: ByteRange | undefined,
  signal: AbortSignal,
): Promise<Media> {
  const call = { action: 'read', key }
  const bytes: Record<string, string> =
    range === undefined
      ? {}
      : { range: `bytes=${range.start}-${range.end === undefined ? '' : range.end - 1}` }
  try {
    const { response, problem } = await connection.send({
      ...call,
      method: 'GET',
      path: connection.objectPath('object/authenticated', escapeKey(key)),
      headers: { 'accept-encoding': 'identity', ...bytes },
      signal,
    })
    if (problem !== null) {
      if (isNoSuchObject(problem)) return { kind: 'absent' }
      throw problemFailure(problem, call, connection.bucket)
    }
    const etag = response.headers.get('etag')
    if (etag === null || response.status !== (range === undefined ? 200 : 206))
      throw notTheService(call, response.status)
    // The service packs nothing; the stock fetch has unpacked what came so.
    const isPacked = (response.headers.get('content-encoding') ?? 'identity') !== 'identity'
    if (isPacked && answerOf(response) !== null) throw notTheService(call, response.status)
    return { kind: 'open', response, etag: plainEtag(etag) }
  } catch (error) {
    if (range === undefined || signal.aborted) throw error
    return { kind: 'failed', error }
  }
}

function openBody(
  media: Response,
  { info, crc32: claimed }: DescribedObject,
  { range, signal, reusesChunks }: GetOptions,
  stop: AbortController,
): StoredObject {
  const start = range?.start ?? 0
  if (isOtherRange(media.headers.get('content-range'), start, info.size))
    throw notTheService({ action: 'read', key: info.key }, media.status)
  const checksum = range === undefined && claimed !== undefined ? checkCrc32(claimed) : undefined
  return {
    info,
    body: receiveBody({
      key: info.key,
      chunks: readMedia(media, reusesChunks),
      expected: Math.min(range?.end ?? info.size, info.size) - start,
      checksum,
      stop: () => stop.abort(),
      signal,
    }),
    checksum,
    async discard() {
      stop.abort()
    },
  }
}

async function* readMedia(media: Response, reusesChunks: boolean | undefined): AsyncGenerator<Uint8Array> {
  const answer = answerOf(media)
  try {
    // An answer without bytes has no stream.
    yield* receiveChunks(answer ?? media.body ?? ReadableStream.from([]), reusesChunks)
  } finally {
    // One that brought all bytes and was not asked for its end.
    if (answer !== null) discardAnswer(answer)
  }
}

function checkCrc32(claimed: string): BodyChecksum {
  let crc32 = 0
  return bodyChecksum(
    (chunk) => {
      crc32 = zlib.crc32(chunk, crc32)
    },
    () => (crc32.toString(16) === claimed ? null : 'its CRC-32 is not the one that it was stored with'),
  )
}
