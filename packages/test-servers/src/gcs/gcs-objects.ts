import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { crc32cOf } from './crc32c.ts'
import { GcsProblem, noSuchBucket, noSuchObject, preconditionFailed } from './gcs-problem.ts'

export interface StoredGcsObject {
  readonly bucket: string
  readonly name: string
  chunks: readonly Buffer[]
  readonly size: number
  readonly generation: string
  readonly metageneration: string
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
  readonly crc32c: string
  readonly md5Hash: string
  readonly updated: string
}

/** What a writer sends beside the bytes: the object resource of the JSON API, as far as it is used here. */
export interface ObjectResource {
  readonly name?: string
  readonly contentType?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly crc32c?: string
  readonly md5Hash?: string
}

/** The buckets of the service, in memory. Each change is one step: nothing here waits. */
export class GcsObjects {
  readonly #buckets = new Map<string, Map<string, StoredGcsObject>>()
  #lastGeneration = 0n

  constructor(buckets: readonly string[]) {
    for (const bucket of buckets) this.#buckets.set(bucket, new Map())
  }

  bucket(name: string): Map<string, StoredGcsObject> {
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) throw noSuchBucket()
    return bucket
  }

  /** The live object, or the pinned generation of it. */
  find(bucket: string, name: string, query: URLSearchParams): StoredGcsObject {
    const found = this.bucket(bucket).get(name)
    const generation = query.get('generation')
    if (found === undefined || (generation !== null && generation !== found.generation))
      throw noSuchObject(bucket, name)
    return found
  }

  insert(
    bucket: string,
    name: string,
    resource: ObjectResource,
    chunks: readonly Buffer[],
    query: URLSearchParams,
  ): StoredGcsObject {
    assertName(name)
    const objects = this.bucket(bucket)
    assertPreconditions(objects.get(name), query)
    const crc32c = crc32cOf(chunks)
    const md5 = createHash('md5')
    for (const chunk of chunks) md5.update(chunk)
    const md5Hash = md5.digest('base64')
    assertChecksum('CRC32C', resource.crc32c, crc32c)
    assertChecksum('MD5', resource.md5Hash, md5Hash)
    // A generation is a time in microseconds; two changes never share one.
    const nowMicroseconds = BigInt(Date.now()) * 1_000n
    this.#lastGeneration =
      nowMicroseconds > this.#lastGeneration ? nowMicroseconds : this.#lastGeneration + 1n
    const object: StoredGcsObject = {
      bucket,
      name,
      chunks,
      size: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
      generation: String(this.#lastGeneration),
      metageneration: '1',
      contentType: resource.contentType ?? 'application/octet-stream',
      metadata: { ...resource.metadata },
      crc32c,
      md5Hash,
      updated: new Date().toISOString(),
    }
    objects.set(name, object)
    return object
  }

  patch(bucket: string, name: string, resource: ObjectResource, query: URLSearchParams): StoredGcsObject {
    const found = this.find(bucket, name, query)
    assertPreconditions(found, query)
    const metageneration = String(Number(found.metageneration) + 1)
    const patched = { ...found, metageneration, metadata: { ...found.metadata, ...resource.metadata } }
    this.bucket(bucket).set(name, patched)
    return patched
  }

  delete(bucket: string, name: string, query: URLSearchParams): void {
    const found = this.find(bucket, name, query)
    assertPreconditions(found, query)
    this.bucket(bucket).delete(name)
  }

  /** One page of names in UTF-8 order, with the prefixes that a delimiter makes among them. */
  list(bucket: string, query: URLSearchParams): object {
    const prefix = query.get('prefix') ?? ''
    const delimiter = query.get('delimiter')
    const from = query.get('startOffset')
    const until = query.get('endOffset')
    const after = query.get('pageToken')
    const pageSize = Math.min(Number(query.get('maxResults') ?? 1_000), 1_000)
    const names = [...this.bucket(bucket).keys()].filter((name) => name.startsWith(prefix)).sort(byBytes)
    const items: object[] = []
    const prefixes: string[] = []
    let last = ''
    for (const name of names) {
      const end = delimiter === null ? -1 : name.indexOf(delimiter, prefix.length)
      const folder = end < 0 ? null : name.slice(0, end + (delimiter ?? '').length)
      const position = folder ?? name
      if (after !== null && byBytes(position, Buffer.from(after, 'base64url').toString()) <= 0) continue
      if (from !== null && byBytes(name, from) < 0) continue
      if (until !== null && byBytes(name, until) >= 0) continue
      if (folder !== null && prefixes.at(-1) === folder) continue
      if (items.length + prefixes.length === pageSize)
        return {
          kind: 'storage#objects',
          items,
          prefixes,
          nextPageToken: Buffer.from(last).toString('base64url'),
        }
      last = position
      if (folder !== null) prefixes.push(folder)
      else items.push(toResource(this.find(bucket, name, new URLSearchParams())))
    }
    return { kind: 'storage#objects', items, prefixes }
  }
}

export function toResource(object: StoredGcsObject): object {
  const { bucket, name, generation, metageneration, contentType, crc32c, md5Hash, updated } = object
  return {
    kind: 'storage#object',
    id: `${bucket}/${name}/${generation}`,
    bucket,
    name,
    generation,
    metageneration,
    contentType,
    size: String(object.size),
    crc32c,
    md5Hash,
    updated,
    timeCreated: updated,
    storageClass: 'STANDARD',
    etag: Buffer.from(`${generation}/${metageneration}`).toString('base64'),
    // The service leaves an empty map out.
    ...(Object.keys(object.metadata).length === 0 ? {} : { metadata: object.metadata }),
  }
}

/** 412 when a precondition of the query does not hold; 304 for a read whose generation is known already. */
export function assertPreconditions(
  found: StoredGcsObject | undefined,
  query: URLSearchParams,
  isRead = false,
): void {
  const generation = found?.generation ?? '0'
  const metageneration = found?.metageneration ?? '0'
  const wanted = query.get('ifGenerationMatch')
  const unwanted = query.get('ifGenerationNotMatch')
  const wantedMeta = query.get('ifMetagenerationMatch')
  if (wanted !== null && wanted !== generation) throw preconditionFailed()
  if (wantedMeta !== null && wantedMeta !== metageneration) throw preconditionFailed()
  if (unwanted !== null && unwanted === generation)
    throw isRead ? new GcsProblem(304, 'notModified', 'Not Modified') : preconditionFailed()
}

function assertName(name: string): void {
  const bytes = Buffer.byteLength(name)
  const isLegal =
    bytes > 0 &&
    bytes <= 1_024 &&
    name !== '.' &&
    name !== '..' &&
    !/[\r\n]/.test(name) &&
    name.isWellFormed()
  if (!isLegal || name.startsWith('.well-known/acme-challenge/'))
    throw new GcsProblem(400, 'invalid', `Invalid object name: '${name.slice(0, 50)}'.`)
}

function assertChecksum(kind: string, claimed: string | undefined, actual: string): void {
  if (claimed === undefined || claimed === actual) return
  const message = `Provided ${kind} hash "${claimed}" doesn't match calculated ${kind} hash "${actual}".`
  throw new GcsProblem(400, 'invalid', message)
}

function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}
