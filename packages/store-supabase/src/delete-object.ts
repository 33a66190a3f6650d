import { callFailure } from '@ws/core'
import { escapeKey } from './escape-key.ts'
import { headObject } from './head-object.ts'
import { readJson, type SupabaseConnection } from './supabase-client.ts'
import { notTheService } from './supabase-error.ts'

/** Removes an object. The service says what it removed, and nothing of what the policies kept it from. */
export async function deleteObject(
  connection: SupabaseConnection,
  key: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const call = { action: 'delete', key, signal }
  const response = await connection.sendOrThrow({
    ...call,
    method: 'DELETE',
    path: `object/${encodeURIComponent(connection.bucket)}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prefixes: [escapeKey(key)] }),
  })
  const removed = await readJson(response, call)
  if (!Array.isArray(removed)) throw notTheService(call, response.status)
  if (removed.length > 0 || (await headObject(connection, key, signal)) === null) return
  throw callFailure(
    call,
    'ACCESS_DENIED',
    'the row-level security policies of storage.objects do not allow it; add a policy for delete',
  )
}
