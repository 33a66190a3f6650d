import { damagedContent, compareKeys, plainEtag, type ListOptions, type ObjectInfo } from '@ws/core'
import { assertEmptiness } from './assert-absence.ts'
import { escapeKey, unescapeKey } from './escape-key.ts'
import { readJson, type SupabaseConnection } from './supabase-client.ts'
import { notTheService } from './supabase-error.ts'

const PAGE = 1_000

/**
 * The objects below a prefix, page by page. The service orders names by their bytes, and names are in the order of
 * their keys. Names that others gave and that stand for no key are left out.
 */
export async function* listObjects(
  connection: SupabaseConnection,
  prefix: string,
  { startAfter = '', signal }: ListOptions,
): AsyncGenerator<ObjectInfo, void, undefined> {
  const call = { action: 'list', key: prefix, signal }
  const path = `object/list-v2/${encodeURIComponent(connection.bucket)}`
  let cursor: string | undefined
  let last = ''
  let isEmpty = true
  do {
    signal?.throwIfAborted()
    const body = JSON.stringify({ prefix: escapeKey(prefix), limit: PAGE, with_delimiter: false, cursor })
    const headers = { 'content-type': 'application/json' }
    const response = await connection.sendOrThrow({ ...call, method: 'POST', path, headers, body })
    const { objects, hasNext, nextCursor } = (await readJson(response, call)) as Page
    if (!Array.isArray(objects)) throw notTheService(call, response.status)
    for (const object of objects) {
      isEmpty = false
      const info = toInfo(object)
      // The service may take `_` in a prefix for any character.
      if (info === null || !info.key.startsWith(prefix)) continue
      signal?.throwIfAborted()
      if (last !== '' && compareKeys(info.key, last) <= 0)
        throw damagedContent(
          info.key,
          'the service lists it out of order, so a listing cannot be relied upon',
        )
      last = info.key
      // The service has no other way to begin in the middle.
      if (startAfter !== '' && compareKeys(info.key, startAfter) <= 0) continue
      yield info
    }
    cursor = hasNext === true ? nextCursor : undefined
  } while (cursor !== undefined)
  if (isEmpty) await assertEmptiness(connection, escapeKey(prefix), call)
}

interface Page {
  readonly objects?: unknown
  readonly hasNext?: boolean
  readonly nextCursor?: string
}

interface Row {
  readonly name?: string
  readonly key?: string
  readonly updated_at?: string
  readonly metadata?: { readonly size?: number; readonly eTag?: string; readonly mimetype?: string } | null
}

function toInfo(value: unknown): ObjectInfo | null {
  const { name, key: path, updated_at: updatedAt, metadata } = (value ?? {}) as Row
  const key = unescapeKey(path ?? name ?? '')
  const { size, eTag, mimetype } = metadata ?? {}
  if (key === null || size === undefined || eTag === undefined) return null
  return {
    key,
    size,
    etag: plainEtag(eTag),
    modifiedAt: new Date(updatedAt ?? Number.NaN),
    ...(mimetype === undefined ? {} : { contentType: mimetype }),
    metadata: {},
  }
}
