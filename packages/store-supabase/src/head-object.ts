import { plainEtag, type ObjectInfo } from '@ws/core'
import { assertAbsence } from './assert-absence.ts'
import { escapeKey } from './escape-key.ts'
import { readJson, type SupabaseConnection } from './supabase-client.ts'
import { isNoSuchObject, notTheService, problemFailure } from './supabase-error.ts'

export interface DescribedObject {
  readonly info: ObjectInfo
  /** Which put made the object, where it was one of this adapter. */
  readonly nonce: string | undefined
  /** Of the content, in hexadecimal, where the writer knew it beforehand. */
  readonly crc32: string | undefined
}

/** Names that no caller's metadata can have: what the adapter keeps beside it. */
export const NONCE_FIELD = 'wsPut'
export const CRC32_FIELD = 'wsCrc32'

/** What the service says of an object; `null` when there is certainly none. */
export async function headObject(
  connection: SupabaseConnection,
  key: string,
  signal: AbortSignal | undefined,
): Promise<DescribedObject | null> {
  const seen = await seeObject(connection, key, signal)
  if (seen === null) await assertAbsence(connection, escapeKey(key), { action: 'read', key, signal })
  return seen
}

/** What the policies show of an object; `null` when they show none. */
export async function seeObject(
  connection: SupabaseConnection,
  key: string,
  signal: AbortSignal | undefined,
): Promise<DescribedObject | null> {
  const call = { action: 'read', key, signal }
  // Without `authenticated`, a token that is not valid is taken for a visitor without one, to whom the bucket does not exist.
  const path = connection.objectPath('object/info/authenticated', escapeKey(key))
  const { response, problem } = await connection.send({ ...call, method: 'GET', path })
  if (problem !== null) {
    if (isNoSuchObject(problem)) return null
    throw problemFailure(problem, call, connection.bucket)
  }
  const described = parseDescription(
    key,
    (await readJson(response, call)) as Readonly<Record<string, unknown>>,
  )
  if (described === null) throw notTheService(call, response.status)
  return described
}

function parseDescription(key: string, given: Readonly<Record<string, unknown>>): DescribedObject | null {
  const { size, etag, content_type: contentType, last_modified: lastModified, created_at: createdAt } = given
  const modifiedAt = new Date(String(lastModified ?? createdAt))
  if (typeof size !== 'number' || typeof etag !== 'string' || Number.isNaN(modifiedAt.getTime())) return null
  const { [NONCE_FIELD]: nonce, [CRC32_FIELD]: crc32, ...metadata } = textsOf(given['metadata'])
  return {
    info: {
      key,
      size,
      etag: plainEtag(etag),
      modifiedAt,
      ...(typeof contentType === 'string' ? { contentType } : {}),
      metadata,
    },
    nonce,
    crc32,
  }
}

function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}
