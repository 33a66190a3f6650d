import { callFailure, type StoreCall } from '@ws/core'
import { credentialRole } from './credential-role.ts'
import { readJson, type SupabaseConnection } from './supabase-client.ts'
import { notTheService, problemFailure } from './supabase-error.ts'

/** Nobody writes it: it is only asked whether somebody might. */
const PROBE_NAME = 'ws-absence-probe'

interface AbsentCall extends StoreCall {
  readonly signal: AbortSignal | undefined
}

/**
 * Proves that a name that the service does not show has no object. Row-level security hides rows by making them absent;
 * only to the service key no policy applies.
 *
 * - A writer asks whether it might replace the object. Postgres allows that only to who can see the row that is there and
 *   the one that would be (`insert … on conflict do update … returning *`). Nothing is written: the service answers with a
 *   signed URL, which nobody gets.
 * - Who may only read is believed when any object of the bucket can be seen.
 *
 * @throws `ACCESS_DENIED` when the policies may hide it, `NOT_FOUND` when the bucket does not exist
 */
export async function assertAbsence(
  connection: SupabaseConnection,
  name: string,
  call: AbsentCall,
): Promise<void> {
  if (credentialRole(connection.headers) === 'service') return
  const { problem, response } = await connection.send({
    ...call,
    method: 'POST',
    path: connection.objectPath('object/upload/sign', name),
    headers: { 'x-upsert': 'true' },
  })
  if (problem === null) {
    await readJson(response, call)
    return
  }
  if (problem.code !== 403) throw problemFailure(problem, call, connection.bucket)
  if (await seesAnything(connection, call)) return
  throw callFailure(
    call,
    'ACCESS_DENIED',
    `the bucket "${connection.bucket}" is empty, or the policies hide what is in it; grant these credentials select on its rows of storage.objects`,
    { bucket: connection.bucket },
  )
}

/** The same for an empty list, which is all that the service says of a bucket that does not exist. */
export async function assertEmptiness(
  connection: SupabaseConnection,
  namePrefix: string,
  call: AbsentCall,
): Promise<void> {
  if (credentialRole(connection.headers) !== 'service')
    return assertAbsence(connection, namePrefix + PROBE_NAME, call)
  const path = `bucket/${encodeURIComponent(connection.bucket)}`
  const response = await connection.sendOrThrow({ ...call, method: 'GET', path })
  const { id } = (await readJson(response, call)) as { id?: unknown }
  if (id !== connection.bucket) throw notTheService(call, response.status)
}

async function seesAnything(connection: SupabaseConnection, call: AbsentCall): Promise<boolean> {
  const response = await connection.sendOrThrow({
    ...call,
    method: 'POST',
    path: `object/list-v2/${encodeURIComponent(connection.bucket)}`,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ limit: 1, with_delimiter: false }),
  })
  const { objects } = (await readJson(response, call)) as { objects?: unknown }
  if (!Array.isArray(objects)) throw notTheService(call, response.status)
  return objects.length > 0
}
