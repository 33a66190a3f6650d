import { readJson, type GcsClient } from './gcs-client.ts'
import { notTheService } from './gcs-error.ts'
import { OBJECT_FIELDS, parseObjectResource, type ObjectResource } from './object-resource.ts'

/** What the service says of an object, or of one generation of it; `null` when there is none. */
export async function headObject(
  client: GcsClient,
  key: string,
  signal: AbortSignal | undefined,
  generation?: string,
): Promise<ObjectResource | null> {
  const call = { action: 'read', key, signal }
  const query = { fields: OBJECT_FIELDS, ...(generation === undefined ? {} : { generation }) }
  const response = await client.send({ ...call, method: 'GET', query, accept: [404] })
  if (response.status === 404) {
    await client.assertAbsent(response, key, signal)
    return null
  }
  const resource = parseObjectResource(await readJson(response, call))
  if (resource?.info.key !== key) throw notTheService(call, response.status)
  return resource
}
