import { Buffer } from 'node:buffer'
import { createHash, randomUUID } from 'node:crypto'
import {
  duplicate,
  invalidKey,
  noRelatedBucket,
  noSuchBucket,
  noSuchObject,
  rowSecurity,
  tooLarge,
} from './supabase-problem.ts'
import type { SupabaseRole } from './supabase-role.ts'

export interface StoredSupabaseObject {
  readonly id: string
  readonly name: string
  chunks: readonly Buffer[]
  readonly size: number
  readonly etag: string
  readonly contentType: string
  readonly userMetadata: object | null
  readonly createdAt: string
  readonly updatedAt: string
}

export interface NewObject {
  readonly name: string
  readonly chunks: readonly Buffer[]
  readonly contentType: string
  readonly userMetadata: object | null
  /** The bytes of each request of an upload in parts, which make another kind of etag; none for a simple one. */
  readonly parts: readonly (readonly Buffer[])[]
}

/** The service's own rule: "only allow s3 safe characters". */
const VALID_KEY = /^(\w|\/|!|-|\.|\*|'|\(|\)| |&|\$|@|=|;|:|\+|,|\?)*$/

/** The rows of `storage.objects` and their bytes, in memory. */
export class SupabaseObjects {
  readonly fileSizeLimit: number
  readonly #buckets = new Map<string, Map<string, StoredSupabaseObject>>()

  constructor(buckets: readonly string[], fileSizeLimit: number) {
    this.fileSizeLimit = fileSizeLimit
    for (const bucket of buckets) this.#buckets.set(bucket, new Map())
  }

  /** Buckets are rows with policies of their own. */
  bucket(name: string, role?: SupabaseRole): Map<string, StoredSupabaseObject> {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined || role?.seesBucket === false) throw noSuchBucket()
    return bucket
  }

  /** A row that a policy hides is a row that is not there. */
  find(bucket: string, name: string, role: SupabaseRole): StoredSupabaseObject {
    const found = this.bucket(bucket).get(name)
    if (found === undefined || !role.select) throw noSuchObject()
    return found
  }

  /**
   * What the database says to the row, in a transaction that is rolled back. An upsert reads the row that is there and
   * returns the new one, so it needs the right to see both.
   */
  assertMayUpload(bucket: string, name: string, isUpsert: boolean, role: SupabaseRole): void {
    if (name === '' || !VALID_KEY.test(name)) throw invalidKey(name)
    const objects = this.#buckets.get(bucket)
    const isThere = objects?.has(name) === true
    if (!role.insert || (isUpsert && (!role.select || (isThere && !role.update)))) throw rowSecurity()
    if (objects === undefined) throw noRelatedBucket()
    if (!isUpsert && isThere) throw duplicate()
  }

  assertSize(bytes: number): void {
    if (bytes > this.fileSizeLimit) throw tooLarge()
  }

  /** The last step of every upload writes the row whether one is there or not: the check was made before. */
  complete(
    bucket: string,
    { name, chunks, contentType, userMetadata, parts }: NewObject,
  ): StoredSupabaseObject {
    const objects = this.bucket(bucket)
    const now = new Date().toISOString()
    const before = objects.get(name)
    const object: StoredSupabaseObject = {
      id: before?.id ?? randomUUID(),
      name,
      chunks,
      size: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      etag: `"${parts.length === 0 ? md5(chunks).toString('hex') : `${md5(parts.map(md5)).toString('hex')}-${parts.length}`}"`,
      contentType,
      userMetadata,
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
    }
    objects.set(name, object)
    return object
  }

  remove(bucket: string, names: readonly string[], role: SupabaseRole): StoredSupabaseObject[] {
    const objects = this.#buckets.get(bucket)
    if (objects === undefined || !role.select || !role.delete) return []
    return names.flatMap((name) => {
      const found = objects.get(name)
      return found !== undefined && objects.delete(name) ? [found] : []
    })
  }

  sortedNames(bucket: string, role: SupabaseRole): string[] {
    // A bucket that does not exist has no rows: the service says no more.
    const objects = this.#buckets.get(bucket)
    return role.select ? [...(objects?.keys() ?? [])].sort(byBytes) : []
  }
}

export function toRow(object: StoredSupabaseObject, name: string): object {
  return {
    id: object.id,
    name,
    created_at: object.createdAt,
    updated_at: object.updatedAt,
    last_accessed_at: object.updatedAt,
    metadata: {
      eTag: object.etag,
      size: object.size,
      mimetype: object.contentType,
      cacheControl: 'no-cache',
      lastModified: object.updatedAt,
      contentLength: object.size,
      httpStatusCode: 200,
    },
  }
}

function md5(chunks: readonly Buffer[]): Buffer {
  const hash = createHash('md5')
  for (const chunk of chunks) hash.update(chunk)
  return hash.digest()
}

function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}
