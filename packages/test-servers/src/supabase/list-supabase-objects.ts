import { Buffer } from 'node:buffer'
import { toRow, type SupabaseObjects } from './supabase-objects.ts'
import type { SupabaseRole } from './supabase-role.ts'

interface ListQuery {
  readonly prefix?: string
  readonly limit?: number
  readonly offset?: number
  readonly cursor?: string
  readonly with_delimiter?: boolean
}

const MAX_PAGE = 1_000

/** The first API: one folder at a time, names relative to it, folders as rows without an id. */
export function listFolder(
  objects: SupabaseObjects,
  bucket: string,
  query: ListQuery,
  role: SupabaseRole,
): object[] {
  const { prefix = '', limit = 100, offset = 0 } = query
  const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`
  const rows: object[] = []
  const folders = new Set<string>()
  for (const name of objects.sortedNames(bucket, role)) {
    if (!name.startsWith(folder)) continue
    const rest = name.slice(folder.length)
    const end = rest.indexOf('/')
    if (end < 0) rows.push(toRow(objects.find(bucket, name, role), rest))
    else if (!folders.has(rest.slice(0, end))) {
      folders.add(rest.slice(0, end))
      const empty = { id: null, updated_at: null, created_at: null, last_accessed_at: null, metadata: null }
      rows.push({ name: rest.slice(0, end), ...empty })
    }
  }
  return rows.slice(offset, offset + Math.min(limit, MAX_PAGE))
}

/** The second API: full names by their bytes, with a cursor. */
export function listPage(
  objects: SupabaseObjects,
  bucket: string,
  query: ListQuery,
  role: SupabaseRole,
): object {
  const { prefix = '', limit = MAX_PAGE, cursor, with_delimiter: hasDelimiter = false } = query
  const after = cursor === undefined ? '' : Buffer.from(cursor, 'base64').toString().slice('l:'.length)
  const pageSize = Math.min(limit, MAX_PAGE)
  const found: object[] = []
  const folders: { name: string }[] = []
  let last = ''
  for (const name of objects.sortedNames(bucket, role)) {
    if (!name.startsWith(prefix)) continue
    const end = hasDelimiter ? name.indexOf('/', prefix.length) : -1
    const position = end < 0 ? name : name.slice(0, end + 1)
    if (cursor !== undefined && Buffer.compare(Buffer.from(position), Buffer.from(after)) <= 0) continue
    if (folders.at(-1)?.name === position) continue
    if (found.length + folders.length === pageSize)
      return {
        hasNext: true,
        nextCursor: Buffer.from(`l:${last}`).toString('base64'),
        folders,
        objects: found,
      }
    last = position
    if (end < 0) found.push(toRow(objects.find(bucket, name, role), name))
    else folders.push({ name: position })
  }
  return { hasNext: false, folders, objects: found }
}
