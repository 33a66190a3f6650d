import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import zlib from 'node:zlib'
import {
  conditionFailed,
  readBody,
  readParts,
  type ObjectBody,
  type ObjectInfo,
  type PutOptions,
} from '@ws/core'
import { escapeKey } from './escape-key.ts'
import { CRC32_FIELD, headObject, NONCE_FIELD } from './head-object.ts'
import type { PutTarget } from './put-target.ts'
import { readStoredObject } from './read-stored-object.ts'
import { digestWhole } from './sent-body.ts'
import { streamBytes } from './stream-bytes.ts'
import { readJson, type SupabaseConnection } from './supabase-client.ts'
import { notTheService, problemFailure } from './supabase-error.ts'
import { uploadInParts } from './upload-in-parts.ts'

/** The service takes parts of exactly this size, but for the last one. */
const PART_BYTES = 6_291_456
/** A body in memory can be sent again as a whole, so up to here one request is better than a round trip for each part. */
const MAX_WHOLE_BYTES = 33_554_432

/** A body that fits goes in one request, all or nothing; a longer one in an upload of parts. */
export async function putObject(
  connection: SupabaseConnection,
  key: string,
  body: ObjectBody,
  options: PutOptions,
): Promise<ObjectInfo> {
  const target = toTarget(key, body, options)
  if (options.bare !== true) await assertMatch(connection, target)
  const whole = body instanceof Uint8Array ? body : undefined
  const fits = whole !== undefined && whole.length <= MAX_WHOLE_BYTES
  const parts = readParts(whole, readBody(key, body, options), fits ? MAX_WHOLE_BYTES : PART_BYTES)
  try {
    const first = await parts.next()
    if (first.done === true) throw new TypeError('A body has at least one part.')
    const { bytes, isLast } = first.value
    if (!isLast) {
      const again = (): Promise<void> => assertMatch(connection, target)
      return await readStoredObject(
        connection,
        target,
        await uploadInParts(connection, target, bytes, parts, again),
      )
    }
    const crc32 = target.metadata[CRC32_FIELD] ?? zlib.crc32(bytes).toString(16)
    const metadata = { ...target.metadata, [CRC32_FIELD]: crc32 }
    const uploading = uploadWhole(connection, { ...target, metadata }, bytes)
    if (options.bare === true) {
      await uploading
      return unseen(target, bytes.length)
    }
    const digest = digestWhole()
    await Promise.all([uploading, digest.add(bytes)])
    return await readStoredObject(connection, target, digest.finish())
  } finally {
    await parts.return(undefined)
  }
}

/** What can be said of an object that was not looked at. No etag matches. */
function unseen({ key, contentType, nonce }: PutTarget, size: number): ObjectInfo {
  return { key, size, etag: `unseen-${nonce}`, modifiedAt: new Date(), contentType, metadata: {} }
}

function toTarget(key: string, body: ObjectBody, options: PutOptions): PutTarget {
  const { ifAbsent, ifMatch, contentType = 'application/octet-stream', metadata = {}, signal } = options
  const isWhole = body instanceof Uint8Array
  const nonce = randomUUID()
  return {
    key,
    name: escapeKey(key),
    contentType,
    metadata: {
      ...metadata,
      [NONCE_FIELD]: nonce,
      ...(isWhole ? { [CRC32_FIELD]: zlib.crc32(body).toString(16) } : {}),
    },
    nonce,
    size: isWhole ? body.length : options.size,
    upsert: String(ifAbsent !== true),
    condition: ifAbsent === true ? 'ifAbsent' : ifMatch === undefined ? undefined : 'ifMatch',
    ifMatch,
    signal,
  }
}

/** The service knows no such condition: it is looked at before, and that is all that `'checked'` says. */
async function assertMatch(
  connection: SupabaseConnection,
  { key, ifMatch, signal }: PutTarget,
): Promise<void> {
  if (ifMatch === undefined) return
  const current = await headObject(connection, key, signal)
  if (current?.info.etag !== ifMatch) throw conditionFailed(key, 'ifMatch')
}

async function uploadWhole(connection: SupabaseConnection, target: PutTarget, bytes: Buffer): Promise<void> {
  const { key, name, contentType, metadata, upsert, condition, signal } = target
  const call = { action: 'put', key, signal }
  const { response, problem } = await connection.send({
    ...call,
    method: 'POST',
    path: connection.objectPath('object', name),
    headers: {
      'content-type': contentType,
      'content-length': String(bytes.length),
      'x-upsert': upsert,
      'x-metadata': Buffer.from(JSON.stringify(metadata)).toString('base64'),
    },
    body: streamBytes(bytes),
  })
  if (problem === null) {
    const { Key } = (await readJson(response, call)) as { Key?: unknown }
    if (typeof Key !== 'string') throw notTheService(call, response.status)
    return
  }
  if (problem.code === 409 && condition === 'ifAbsent') throw conditionFailed(key, 'ifAbsent')
  throw problemFailure(problem, call, connection.bucket)
}
