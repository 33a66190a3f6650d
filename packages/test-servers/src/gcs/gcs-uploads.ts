import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import {
  assertPreconditions,
  type GcsObjects,
  type ObjectResource,
  type StoredGcsObject,
} from './gcs-objects.ts'
import { GcsProblem } from './gcs-problem.ts'

/** What the service keeps of an upload in parts is always a multiple of this, but for the last part. */
const PART_BYTES = 262_144

interface UploadSession {
  readonly bucket: string
  readonly name: string
  readonly resource: ObjectResource
  readonly query: URLSearchParams
  chunks: Buffer[]
  size: number
  finished: StoredGcsObject | null
  /** Of several requests that send parts, the last one counts. */
  turn: number
}

export type UploadAnswer =
  | { readonly kind: 'finished'; readonly object: StoredGcsObject }
  | { readonly kind: 'more'; readonly size: number }
  | { readonly kind: 'cancelled' }

/** Resumable uploads: a session for each, parts by Content-Range, 308 until the last one. */
export class GcsUploads {
  readonly #objects: GcsObjects
  readonly #sessions = new Map<string, UploadSession>()

  constructor(objects: GcsObjects) {
    this.#objects = objects
  }

  /** Sessions that were begun and neither finished nor cancelled. */
  get open(): number {
    return [...this.#sessions.values()].filter((session) => session.finished === null).length
  }

  start(bucket: string, name: string, resource: ObjectResource, query: URLSearchParams): string {
    assertPreconditions(this.#objects.bucket(bucket).get(name), query)
    const id = randomUUID()
    this.#sessions.set(id, { bucket, name, resource, query, chunks: [], size: 0, finished: null, turn: 0 })
    return id
  }

  cancel(id: string): UploadAnswer {
    if (!this.#sessions.delete(id)) throw gone()
    return { kind: 'cancelled' }
  }

  async receive(id: string, request: IncomingMessage): Promise<UploadAnswer> {
    const session = this.#sessions.get(id)
    if (session === undefined) throw gone()
    const range = /^bytes (?:(\d+)-(\d+|\*)|\*)\/(\d+|\*)$/.exec(
      request.headers['content-range'] ?? 'bytes 0-*/*',
    )
    if (range === null) throw new GcsProblem(400, 'invalid', 'Failed to parse Content-Range header.')
    const [, start, , total] = range
    if (start !== undefined) await this.#append(session, Number(start), request)
    else await discard(request)
    if (session.finished !== null) return { kind: 'finished', object: session.finished }
    if (start === undefined && total === '*') return { kind: 'more', size: wholeParts(session) }
    const isLast = total !== '*' ? session.size === Number(total) : range[2] === '*' && request.complete
    if (!isLast) {
      cutToParts(session)
      return { kind: 'more', size: session.size }
    }
    return { kind: 'finished', object: this.#finish(session, request) }
  }

  async #append(session: UploadSession, start: number, request: IncomingMessage): Promise<void> {
    if (start > session.size) {
      await discard(request)
      const message = `Invalid request. According to the Content-Range header, the upload offset is ${start} byte(s), which exceeds already uploaded size of ${session.size} byte(s).`
      throw new GcsProblem(400, 'badRequest', message)
    }
    let position = start
    session.turn += 1
    const { turn } = session
    try {
      for await (const data of request) {
        if (turn !== session.turn) throw gone()
        const bytes = Buffer.from(data as Uint8Array)
        const known = Math.max(0, session.size - position)
        position += bytes.length
        if (known >= bytes.length || session.finished !== null) continue
        session.chunks.push(bytes.subarray(known))
        session.size += bytes.length - known
      }
    } catch (error) {
      // A connection that broke: whole parts of what came are kept, and can be asked for.
      if (turn === session.turn) cutToParts(session)
      throw error
    }
  }

  #finish(session: UploadSession, request: IncomingMessage): StoredGcsObject {
    const { bucket, name, resource, query, chunks } = session
    const hashes = Object.fromEntries(
      String(request.headers['x-goog-hash'] ?? '')
        .split(',')
        .map((pair) => [pair.slice(0, pair.indexOf('=')).trim(), pair.slice(pair.indexOf('=') + 1)]),
    ) as { crc32c?: string; md5?: string }
    const checksums: ObjectResource = {
      ...(hashes.crc32c === undefined ? {} : { crc32c: hashes.crc32c }),
      ...(hashes.md5 === undefined ? {} : { md5Hash: hashes.md5 }),
    }
    session.finished = this.#objects.insert(bucket, name, { ...resource, ...checksums }, chunks, query)
    session.chunks = []
    return session.finished
  }
}

function wholeParts({ size }: UploadSession): number {
  return size - (size % PART_BYTES)
}

function cutToParts(session: UploadSession): void {
  const size = wholeParts(session)
  if (size === session.size) return
  const bytes = Buffer.concat(session.chunks).subarray(0, size)
  session.chunks = [bytes]
  session.size = size
}

async function discard(request: IncomingMessage): Promise<void> {
  for await (const _ of request);
}

function gone(): GcsProblem {
  return new GcsProblem(404, 'notFound', 'No such upload session.')
}

/** The resource and the bytes of a `multipart/related` upload (RFC 2387). */
export function parseMultipart(
  contentType: string,
  body: Buffer,
): { resource: ObjectResource; bytes: Buffer } {
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1]
  if (boundary === undefined) throw new GcsProblem(400, 'badRequest', 'Missing multipart boundary.')
  const marker = Buffer.from(`--${boundary}`)
  const first = body.indexOf(marker)
  const second = body.indexOf(marker, first + marker.length)
  const last = body.lastIndexOf(marker)
  if (first < 0 || second <= first || last <= second)
    throw new GcsProblem(400, 'badRequest', 'Malformed multipart body.')
  const contentOf = (from: number, to: number): Buffer => {
    const headEnd = body.indexOf('\r\n\r\n', from)
    return body.subarray(headEnd + 4, to - 2)
  }
  const partType = /content-type:\s*(.+)\r\n/i.exec(
    body.subarray(second, body.indexOf('\r\n\r\n', second) + 2).toString('latin1'),
  )?.[1]
  const resource = JSON.parse(contentOf(first, second).toString()) as ObjectResource
  return {
    resource: { ...(partType === undefined ? {} : { contentType: partType }), ...resource },
    bytes: contentOf(second, last),
  }
}
