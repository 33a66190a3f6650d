import type { GcsClient } from './gcs-client.ts'
import { notTheService } from './gcs-error.ts'
import { headObject } from './head-object.ts'

/**
 * Removes an object. The answer says nothing but its status, which a proxy may give as well: where the service's other
 * answers tell the id of their request and this one does not, the object is looked for.
 */
export async function deleteObject(
  client: GcsClient,
  key: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const call = { action: 'delete', key, signal }
  const response = await client.send({ ...call, method: 'DELETE', accept: [404] })
  // What is there now decides: it may be the bucket that is missing.
  if (response.status === 404) return client.assertAbsent(response, key, signal)
  response.discard()
  if (response.status !== 204) throw notTheService(call, response.status)
  if (client.isNamed(response) || !client.memory.namesRequests) return
  if ((await headObject(client, key, signal)) !== null) throw notTheService(call, response.status)
}
