import { damagedContent, compareKeys, isObjectKey, type ListOptions, type ObjectInfo } from '@ws/core'
import { readJson, type GcsClient } from './gcs-client.ts'
import { notTheService } from './gcs-error.ts'
import { OBJECT_FIELDS, parseObjectResource } from './object-resource.ts'

/**
 * The objects below a prefix, page by page, as the service orders them: by the bytes of their names. Names that others
 * gave and that are no legal keys (`folder/`) are left out.
 */
export async function* listObjects(
  client: GcsClient,
  prefix: string,
  { startAfter = '', signal }: ListOptions,
): AsyncGenerator<ObjectInfo, void, undefined> {
  const call = { action: 'list', key: prefix, method: 'GET', url: client.listUrl(), signal } as const
  let last = startAfter
  let pageToken: string | undefined
  do {
    signal?.throwIfAborted()
    const query = {
      prefix,
      fields: `kind,items(${OBJECT_FIELDS}),nextPageToken`,
      // The offset is inclusive; what equals it is left out below.
      ...(startAfter === '' ? {} : { startOffset: startAfter }),
      ...(pageToken === undefined ? {} : { pageToken }),
    }
    const response = await client.send({ ...call, query })
    const { kind, items = [], nextPageToken } = pageOf(await readJson(response, call))
    // An empty list has nothing else that tells it from any other answer.
    if (kind !== 'storage#objects') throw notTheService(call, response.status)
    for (const item of items) {
      const info = parseObjectResource(item)?.info
      if (info === undefined) throw notTheService(call, response.status)
      signal?.throwIfAborted()
      if (info.key === startAfter || !isObjectKey(info.key)) continue
      if (last !== '' && compareKeys(info.key, last) <= 0)
        throw damagedContent(
          info.key,
          'the service lists it out of order, so a listing cannot be relied upon',
        )
      last = info.key
      yield info
    }
    pageToken = typeof nextPageToken === 'string' && nextPageToken !== '' ? nextPageToken : undefined
  } while (pageToken !== undefined)
}

function pageOf(answer: unknown): {
  readonly kind?: unknown
  readonly items?: readonly unknown[]
  readonly nextPageToken?: unknown
} {
  return typeof answer === 'object' && answer !== null ? answer : {}
}
