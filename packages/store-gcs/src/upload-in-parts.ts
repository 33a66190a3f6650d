import { Buffer } from 'node:buffer'
import {
  askedDelay,
  beginUpload,
  callFailure,
  WorkspaceError,
  conditionFailed,
  type BodyPart,
  type HttpResponse,
} from '@ws/core'
import { Crc32c } from './crc32c.ts'
import type { GcsClient } from './gcs-client.ts'
import { notTheService, responseFailure } from './gcs-error.ts'
import type { ObjectResource } from './object-resource.ts'
import { readStoredObject, type PutTarget } from './read-stored-object.ts'

const CANCEL_TIMEOUT_MS = 10_000

/**
 * A resumable upload: nothing is visible before the last part, which carries the CRC32C of the whole. After an answer
 * that is lost or says "try again", the service is asked how far it has got, and the rest of the part is sent.
 */
export async function uploadInParts(
  client: GcsClient,
  target: PutTarget,
  first: Buffer,
  rest: AsyncGenerator<BodyPart, void, undefined>,
): Promise<ObjectResource> {
  const { key, signal } = target
  const cancel = (upload: URL): Promise<void> => cancelUpload(client, key, upload)
  const session = await beginUpload(signal, (bound) => startUpload(client, target, bound), cancel)
  const crc32c = new Crc32c()
  let start = 0
  try {
    let part: BodyPart = { bytes: first, isLast: false }
    for (;;) {
      const { bytes, isLast } = part
      crc32c.update(bytes)
      const total = isLast ? start + bytes.length : undefined
      const hash: Record<string, string> = isLast ? { 'x-goog-hash': `crc32c=${crc32c.toString()}` } : {}
      const answer = await sendPart(client, target, session, { bytes, start, total, headers: hash })
      start += bytes.length
      if (isLast) return await readStoredObject(client, answer, target, start, crc32c.toString())
      const next = await rest.next()
      if (next.done === true) throw new TypeError('A body ends with a last part.')
      part = next.value
    }
  } catch (error) {
    // Nobody waits for this: what is not cancelled ends by itself after a week, and is never visible.
    cancel(session).catch(() => undefined)
    throw error
  }
}

async function cancelUpload(client: GcsClient, key: string, session: URL): Promise<void> {
  const response = await client.sendOnce({
    action: 'cancel',
    key,
    method: 'DELETE',
    url: session,
    signal: AbortSignal.timeout(CANCEL_TIMEOUT_MS),
    withoutCredentials: true,
  })
  response.discard()
}

async function startUpload(
  client: GcsClient,
  { key, condition, isOnlyHere, query, resource }: PutTarget,
  signal: AbortSignal | undefined,
): Promise<URL> {
  const response = await client.send({
    action: 'put',
    key,
    method: 'POST',
    url: client.uploadUrl(),
    query: { ...query, uploadType: 'resumable' },
    headers: {
      'content-type': 'application/json; charset=UTF-8',
      'x-upload-content-type': String(resource['contentType']),
    },
    body: [Buffer.from(JSON.stringify(resource))],
    signal,
    isOnlyHere,
    accept: condition === undefined ? [] : [412],
  })
  response.discard()
  if (response.status === 412 && condition !== undefined) throw conditionFailed(key, condition)
  const location = response.header('location')
  // The error of an address that is none would repeat it, and whoever knows the address may write.
  if (location === null || !URL.canParse(location, client.uploadUrl().href))
    throw notTheService({ action: 'put', key }, response.status)
  return new URL(location, client.uploadUrl())
}

interface SentPart {
  readonly bytes: Buffer
  readonly start: number
  /** Known with the last part. */
  readonly total: number | undefined
  readonly headers: Readonly<Record<string, string>>
}

/** Sends one part until the service has all of it; the answer to the last one is the finished upload. */
async function sendPart(
  client: GcsClient,
  target: PutTarget,
  session: URL,
  part: SentPart,
): Promise<HttpResponse> {
  const { key, signal } = target
  const end = part.start + part.bytes.length
  const total = part.total ?? '*'
  let position = part.start
  let attempt = 1
  let isAsking = false
  for (;;) {
    const range = isAsking ? `bytes */${total}` : `bytes ${position}-${end - 1}/${total}`
    const answer = await client
      .sendOnce({
        action: 'put',
        key,
        method: 'PUT',
        url: session,
        headers: { 'content-range': range, ...(isAsking ? {} : part.headers) },
        body: isAsking ? [] : [part.bytes.subarray(position - part.start)],
        signal,
        withoutCredentials: true,
      })
      .catch((error: unknown) => {
        if (WorkspaceError.is(error) && error.retryable && attempt < client.retry.attempts) return null
        throw error
      })
    if (answer?.status === 308) {
      answer.discard()
      const reached = reachedBy(answer, key, position, end)
      if (reached === end && part.total === undefined) return answer
      attempt = reached > position ? 1 : attempt + 1
      if (attempt > client.retry.attempts)
        throw callFailure({ action: 'put', key }, 'UNAVAILABLE', 'the service takes no more of it; try again')
      position = reached
      isAsking = false
      continue
    }
    if (answer !== null && !isWorthRepeating(answer.status)) return accepted(client, key, answer, part)
    if (answer !== null && attempt >= client.retry.attempts)
      throw await responseFailure(answer, { action: 'put', key }, client.bucket.name)
    answer?.discard()
    await client.retry.pause(attempt, signal, answer === null ? 0 : askedDelay(answer.header).retryAfterMs)
    attempt += 1
    isAsking = true
  }
}

/** How many bytes of the whole the service has. */
function reachedBy(answer: HttpResponse, key: string, position: number, end: number): number {
  const range = answer.header('range')
  const reached = range === null ? 0 : Number(/^bytes=0-(\d+)$/.exec(range)?.[1]) + 1
  // What was reached before is no longer in memory.
  if (reached >= position && reached <= end) return reached
  throw callFailure({ action: 'put', key }, 'UNAVAILABLE', `the service lost a part of the upload; try again`)
}

function isWorthRepeating(status: number): boolean {
  return status === 408 || status === 429 || status >= 500
}

async function accepted(
  client: GcsClient,
  key: string,
  answer: HttpResponse,
  part: SentPart,
): Promise<HttpResponse> {
  const call = { action: 'put', key }
  if (answer.status === 404 || answer.status === 410) {
    answer.discard()
    throw callFailure(call, 'UNAVAILABLE', 'the service has forgotten the upload; try again')
  }
  if (answer.isSuccess && part.total === undefined) throw notTheService(call, answer.status)
  if (!answer.isSuccess && answer.status !== 412)
    throw await responseFailure(answer, call, client.bucket.name)
  return answer
}
