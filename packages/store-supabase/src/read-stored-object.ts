import zlib from 'node:zlib'
import { damagedContent, callFailure, WorkspaceError, type ObjectInfo } from '@ws/core'
import { getObject } from './get-object.ts'
import { seeObject } from './head-object.ts'
import type { PutTarget } from './put-target.ts'
import type { SentBody } from './sent-body.ts'
import type { SupabaseConnection } from './supabase-client.ts'

/**
 * What the service has after a put, once it is certain to be what was sent. Its answer to the put itself says neither
 * size nor etag, and it compares no checksum: the etag proves the bytes where it is an MD5, else they are read back.
 */
export async function readStoredObject(
  connection: SupabaseConnection,
  target: PutTarget,
  sent: SentBody,
): Promise<ObjectInfo> {
  const { key, nonce, signal } = target
  const stored = await seeObject(connection, key, signal)
  if (stored === null)
    throw callFailure(
      { action: 'put', key },
      'ACCESS_DENIED',
      'it was stored, but these credentials cannot see it; grant them select on storage.objects (or somebody deleted it at once)',
    )
  // Another writer has replaced it already; no etag matches what is there no more.
  if (stored.nonce !== nonce)
    return { ...stored.info, size: sent.size, etag: `replaced-${nonce}`, metadata: {} }
  const isProven = stored.info.size === sent.size && stored.info.etag === sent.etag
  if (
    isProven ||
    (stored.info.size === sent.size && (await isReadBack(connection, target, stored.info, sent)))
  )
    return stored.info
  await removeOwn(connection, target)
  throw damagedContent(
    key,
    'the service did not store the bytes that were sent, so it was removed; try again',
  )
}

/** Whether the bytes come back as they were sent; also when somebody replaced them meanwhile. */
async function isReadBack(
  connection: SupabaseConnection,
  { key, signal }: PutTarget,
  info: ObjectInfo,
  sent: SentBody,
): Promise<boolean> {
  const found = await getObject(connection, key, { signal })
  if (found === null || found.info.etag !== info.etag) {
    await found?.discard()
    return true
  }
  let checksum = 0
  try {
    for await (const chunk of found.body) checksum = zlib.crc32(chunk, checksum)
  } catch (error) {
    if (WorkspaceError.is(error, 'CORRUPT')) return false
    throw error
  }
  return checksum.toString(16) === sent.crc32
}

/** Only what this put has made: another writer's object may be there by now. */
async function removeOwn(
  connection: SupabaseConnection,
  { key, name, nonce, signal }: PutTarget,
): Promise<void> {
  if ((await seeObject(connection, key, signal))?.nonce !== nonce) return
  const response = await connection.sendOrThrow({
    action: 'put',
    key,
    method: 'DELETE',
    path: `object/${encodeURIComponent(connection.bucket)}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prefixes: [name] }),
    signal,
  })
  await response.body?.cancel()
}
