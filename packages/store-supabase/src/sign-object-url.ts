import { callFailure, type SignedUrlOptions } from '@ws/core'
import { assertAbsence } from './assert-absence.ts'
import { escapeKey } from './escape-key.ts'
import { readJson, type SupabaseConnection } from './supabase-client.ts'
import { isNoSuchObject, notTheService, problemFailure } from './supabase-error.ts'

const DEFAULT_EXPIRY_MS = 900_000
/** The service gives upload URLs no other time. */
const UPLOAD_EXPIRY_MS = 7_200_000

/** A signed URL, made by the service. */
export async function signObjectUrl(
  connection: SupabaseConnection,
  key: string,
  { method, expiresInMs = DEFAULT_EXPIRY_MS, signal }: SignedUrlOptions,
): Promise<URL> {
  const call = { action: 'sign a URL for', key, signal }
  if (!Number.isFinite(expiresInMs) || expiresInMs <= 0)
    throw callFailure(call, 'INVALID_INPUT', `expiresInMs must be more than 0, not ${expiresInMs}`)
  if (method === 'PUT' && expiresInMs < UPLOAD_EXPIRY_MS)
    throw callFailure(
      call,
      'UNSUPPORTED',
      `the URLs of Supabase for uploads work for two hours, no shorter; ask for expiresInMs: ${UPLOAD_EXPIRY_MS}`,
    )
  const name = escapeKey(key)
  const kind = method === 'PUT' ? 'object/upload/sign' : 'object/sign'
  const { response, problem } = await connection.send({
    ...call,
    method: 'POST',
    path: connection.objectPath(kind, name),
    headers: { 'content-type': 'application/json', 'x-upsert': 'true' },
    body: JSON.stringify({ expiresIn: Math.ceil(expiresInMs / 1_000) }),
  })
  if (problem !== null && isNoSuchObject(problem)) {
    await assertAbsence(connection, name, call)
    throw callFailure(call, 'NOT_FOUND', 'the service signs URLs only for objects that exist; put it first')
  }
  if (problem !== null) throw problemFailure(problem, call, connection.bucket)
  const { signedURL, url } = (await readJson(response, call)) as { signedURL?: unknown; url?: unknown }
  const relative = method === 'PUT' ? url : signedURL
  if (typeof relative !== 'string') throw notTheService(call, response.status)
  return new URL(connection.url + relative)
}
