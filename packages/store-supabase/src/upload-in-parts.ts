import { Buffer } from 'node:buffer'
import { beginUpload, callFailure, WorkspaceError, conditionFailed, type BodyPart } from '@ws/core'
import { seeObject } from './head-object.ts'
import type { PutTarget } from './put-target.ts'
import { digestParts, digestWhole, type SentBody } from './sent-body.ts'
import { streamBytes } from './stream-bytes.ts'
import type { SupabaseConnection } from './supabase-client.ts'
import { notTheService, problemFailure, type SupabaseProblem } from './supabase-error.ts'

const CANCEL_TIMEOUT_MS = 10_000
const PATH = 'upload/resumable'
const VERSION = { 'tus-resumable': '1.0.0' }

/**
 * An upload in parts by the TUS protocol (tus.io, 1.0.0): nothing is visible before the last part. After an answer that is
 * lost or says "try again", the service is asked how far it has got, and the rest of the part is sent. A service that
 * has no such uploads gets the body as one stream.
 *
 * @param beforeLast called before the part that makes the object visible
 * @returns what the service should have
 */
export async function uploadInParts(
  connection: SupabaseConnection,
  target: PutTarget,
  first: Buffer,
  rest: AsyncGenerator<BodyPart, void, undefined>,
  beforeLast: () => Promise<void>,
): Promise<SentBody> {
  const cancel = (upload: string | null): Promise<void> => cancelUpload(connection, target, upload)
  const path = await beginUpload(target.signal, (bound) => createUpload(connection, target, bound), cancel)
  if (path === null) return uploadStream(connection, target, first, rest)
  const digest = digestParts()
  let start = 0
  try {
    let part: BodyPart = { bytes: first, isLast: false }
    for (;;) {
      const { bytes, isLast } = part
      if (isLast) await beforeLast()
      await Promise.all([sendPart(connection, target, path, { bytes, start, isLast }), digest.add(bytes)])
      if (isLast) return digest.finish()
      start += bytes.length
      part = await nextPart(rest)
    }
  } catch (error) {
    // Nobody waits for this: what is not cancelled ends by itself after a day, and is never visible.
    cancel(path).catch(() => undefined)
    throw error
  }
}

async function cancelUpload(
  connection: SupabaseConnection,
  { key, upsert }: PutTarget,
  path: string | null,
): Promise<void> {
  if (path === null) return
  const { response } = await connection.send({
    action: 'cancel',
    key,
    method: 'DELETE',
    path,
    headers: { ...VERSION, 'x-upsert': upsert },
    signal: AbortSignal.timeout(CANCEL_TIMEOUT_MS),
  })
  await response.body?.cancel()
}

/** The path of a new upload; `null` when the service has no uploads in parts. */
async function createUpload(
  connection: SupabaseConnection,
  target: PutTarget,
  signal: AbortSignal | undefined,
): Promise<string | null> {
  const { key, name, contentType, metadata, size, upsert } = target
  const fields = {
    bucketName: connection.bucket,
    objectName: name,
    contentType,
    metadata: JSON.stringify(metadata),
  }
  const call = { action: 'put', key, signal }
  const { response, problem } = await connection.send({
    ...call,
    method: 'POST',
    path: PATH,
    headers: {
      ...VERSION,
      ...(size === undefined ? { 'upload-defer-length': '1' } : { 'upload-length': String(size) }),
      'upload-metadata': Object.entries(fields)
        .map(([field, value]) => `${field} ${Buffer.from(value).toString('base64')}`)
        .join(','),
      'x-upsert': upsert,
    },
  })
  if (problem !== null) {
    const isUnknownRoute =
      problem.code === 404 && !/bucket|related resource/i.test(problem.error + problem.message)
    if (isUnknownRoute || problem.code === 405) return null
    throw refusal(problem, target, connection.bucket)
  }
  const location = response.headers.get('location')
  await response.body?.cancel()
  // The error of an address that is none would repeat it, and whoever knows the address may write.
  if (response.status !== 201 || location === null || !URL.canParse(location, connection.url))
    throw notTheService(call, response.status)
  // Only the last segment counts: the service behind a gateway may not know its own address, and tokens go to no other.
  return `${PATH}/${new URL(location, connection.url).pathname.split('/').at(-1)}`
}

interface SentPart {
  readonly bytes: Buffer
  readonly start: number
  readonly isLast: boolean
}

async function sendPart(
  connection: SupabaseConnection,
  target: PutTarget,
  path: string,
  part: SentPart,
): Promise<void> {
  const { key, upsert, size, signal } = target
  const { retries } = connection
  const end = part.start + part.bytes.length
  let position = part.start
  for (let attempt = 1; ; attempt += 1) {
    const sent = await connection
      .send({
        action: 'put',
        key,
        method: 'PATCH',
        path,
        headers: {
          ...VERSION,
          'x-upsert': upsert,
          'upload-offset': String(position),
          'content-type': 'application/offset+octet-stream',
          'content-length': String(end - position),
          ...(part.isLast && size === undefined ? { 'upload-length': String(end) } : {}),
        },
        body: streamBytes(part.bytes.subarray(position - part.start)),
        signal,
      })
      .catch((error: unknown) => failureToRepeat(error, attempt < retries.attempts))
    if (sent !== null && sent.problem === null) {
      const reached = Number(sent.response.headers.get('upload-offset'))
      await sent.response.body?.cancel()
      if (sent.response.status !== 204 || reached !== end)
        throw notTheService({ action: 'put', key }, sent.response.status)
      return
    }
    if (sent !== null && isGoneStatus(sent.problem.code)) throw forgotten(key)
    if (sent !== null && (attempt >= retries.attempts || !isWorthRepeating(sent.problem)))
      throw refusal(sent.problem, target, connection.bucket)
    await retries.pause(attempt, signal, sent?.problem.retryAfterMs)
    const reached = await askOffset(connection, target, path, part.isLast)
    if (reached === 'finished' || reached === end) return
    if (reached !== null) {
      // What was reached before is no longer in memory.
      if (reached < part.start || reached > end)
        throw callFailure(
          { action: 'put', key },
          'UNAVAILABLE',
          'the service lost a part of the upload; try again',
        )
      position = reached
    }
  }
}

/** How far the service has got; `null` when it does not say. An upload that is gone after its last part may have finished. */
async function askOffset(
  connection: SupabaseConnection,
  target: PutTarget,
  path: string,
  isLast: boolean,
): Promise<number | 'finished' | null> {
  const { key, nonce, signal } = target
  const call = { action: 'put', key, signal }
  const asked = await connection
    .send({ ...call, method: 'HEAD', path, headers: VERSION })
    .catch((error: unknown) => {
      if (isGone(error)) return 'gone' as const
      if (WorkspaceError.is(error) && error.retryable) return null
      throw error
    })
  if (asked === null) return null
  if (asked !== 'gone' && asked.problem === null) {
    const offset = Number(asked.response.headers.get('upload-offset') ?? Number.NaN)
    return Number.isInteger(offset) ? offset : null
  }
  if (isLast && (await seeObject(connection, key, signal))?.nonce === nonce) return 'finished'
  throw forgotten(key)
}

function forgotten(key: string): WorkspaceError {
  return callFailure({ action: 'put', key }, 'UNAVAILABLE', 'the service has forgotten the upload; try again')
}

/** Answers to HEAD have no body that could say what they are about. */
function isGone(error: unknown): boolean {
  return WorkspaceError.is(error) && isGoneStatus(error.details['status'])
}

function isGoneStatus(status: unknown): boolean {
  return status === 404 || status === 410
}

async function failureToRepeat(error: unknown, mayRepeat: boolean): Promise<null> {
  if (WorkspaceError.is(error) && error.retryable && mayRepeat) return null
  throw error
}

/** 409 is another offset than the service's: an answer was lost. */
function isWorthRepeating({ code, message }: SupabaseProblem): boolean {
  return (
    code === 408 || code === 423 || code === 429 || code >= 500 || (code === 409 && /offset/i.test(message))
  )
}

function refusal(problem: SupabaseProblem, target: PutTarget, bucket: string): WorkspaceError {
  if (problem.code === 409 && target.condition === 'ifAbsent') return conditionFailed(target.key, 'ifAbsent')
  return problemFailure(problem, { action: 'put', key: target.key }, bucket)
}

async function uploadStream(
  connection: SupabaseConnection,
  target: PutTarget,
  first: Buffer,
  rest: AsyncGenerator<BodyPart, void, undefined>,
): Promise<SentBody> {
  const digest = digestWhole()
  const { key, name, contentType, metadata, upsert, signal } = target
  let sourceFailure: { readonly error: unknown } | null = null
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      let part: BodyPart = { bytes: first, isLast: false }
      for (;;) {
        // The next part may take the memory of this one.
        yield Uint8Array.from(part.bytes)
        await digest.add(part.bytes)
        if (part.isLast) return
        part = await nextPart(rest)
      }
    } catch (error) {
      sourceFailure = { error }
      throw error
    }
  }
  try {
    const headers = {
      'content-type': contentType,
      'x-upsert': upsert,
      'x-metadata': Buffer.from(JSON.stringify(metadata)).toString('base64'),
    }
    const path = connection.objectPath('object', name)
    const { response, problem } = await connection.send({
      action: 'put',
      key,
      method: 'POST',
      path,
      headers,
      body: body(),
      signal,
    })
    if (problem !== null) throw refusal(problem, target, connection.bucket)
    await response.body?.cancel()
    return digest.finish()
  } catch (error) {
    throw (sourceFailure as { readonly error: unknown } | null)?.error ?? error
  }
}

async function nextPart(rest: AsyncGenerator<BodyPart, void, undefined>): Promise<BodyPart> {
  const next = await rest.next()
  if (next.done === true) throw new TypeError('A body ends with a last part.')
  return next.value
}
