import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SupabaseObjects } from './supabase-objects.ts'
import { SupabaseProblem } from './supabase-problem.ts'
import type { SupabaseRole } from './supabase-role.ts'

interface TusUpload {
  readonly bucket: string
  readonly name: string
  readonly contentType: string
  readonly userMetadata: object | null
  /** Not known before the last part when its length was deferred. */
  length: number | null
  chunks: Buffer[]
  offset: number
  readonly parts: Buffer[][]
}

const PATH = '/storage/v1/upload/resumable'

/** Uploads in parts by the TUS protocol 1.0.0 (tus.io), with creation, deferred length and termination. */
export class SupabaseTus {
  readonly #objects: SupabaseObjects
  readonly #uploads = new Map<string, TusUpload>()

  constructor(objects: SupabaseObjects) {
    this.#objects = objects
  }

  get open(): number {
    return this.#uploads.size
  }

  async answer(request: IncomingMessage, response: ServerResponse, role: SupabaseRole): Promise<void> {
    const isUpsert = request.headers['x-upsert'] === 'true'
    response.setHeader('tus-resumable', '1.0.0')
    if (request.method === 'POST') return this.#create(request, response, role, isUpsert)
    const id = Buffer.from((request.url ?? '').slice(PATH.length + 1), 'base64url').toString()
    const upload = this.#uploads.get(id)
    if (upload === undefined) throw new SupabaseProblem(404, 'tus', 'The file for this url was not found')
    switch (request.method ?? '') {
      case 'HEAD':
        response.writeHead(200, { 'upload-offset': upload.offset, 'cache-control': 'no-store' }).end()
        return
      case 'DELETE':
        this.#uploads.delete(id)
        response.writeHead(204).end()
        return
      case 'PATCH':
        return this.#append(id, upload, request, response, role, isUpsert)
      default:
        throw new SupabaseProblem(404, 'tus', 'Not found')
    }
  }

  #create(request: IncomingMessage, response: ServerResponse, role: SupabaseRole, isUpsert: boolean): void {
    request.resume()
    const metadata = parseMetadata(String(request.headers['upload-metadata'] ?? ''))
    const { bucketName = '', objectName = '', contentType = 'application/octet-stream' } = metadata
    const length = request.headers['upload-length']
    this.#objects.assertMayUpload(bucketName, objectName, isUpsert, role)
    if (length !== undefined) this.#objects.assertSize(Number(length))
    const id = `${bucketName}/${objectName}/${randomUUID()}`
    this.#uploads.set(id, {
      bucket: bucketName,
      name: objectName,
      contentType,
      userMetadata: metadata['metadata'] === undefined ? null : (JSON.parse(metadata['metadata']) as object),
      length: length === undefined ? null : Number(length),
      chunks: [],
      offset: 0,
      parts: [],
    })
    // The address that the client used: it may be that of a proxy.
    const location = `http://${request.headers.host}${PATH}/${Buffer.from(id).toString('base64url')}`
    response.writeHead(201, { location, 'content-length': 0 }).end()
  }

  async #append(
    id: string,
    upload: TusUpload,
    request: IncomingMessage,
    response: ServerResponse,
    role: SupabaseRole,
    isUpsert: boolean,
  ): Promise<void> {
    this.#objects.assertMayUpload(upload.bucket, upload.name, isUpsert, role)
    if (Number(request.headers['upload-offset']) !== upload.offset)
      throw new SupabaseProblem(
        409,
        'tus',
        'Upload-Offset from the request does not match the current offset',
      )
    const length = request.headers['upload-length']
    if (length !== undefined) {
      this.#objects.assertSize(Number(length))
      upload.length = Number(length)
    }
    // What comes before a connection breaks is kept.
    const part: Buffer[] = []
    upload.parts.push(part)
    for await (const data of request) {
      const bytes = Buffer.from(data as Uint8Array)
      part.push(bytes)
      upload.chunks.push(bytes)
      upload.offset += bytes.length
    }
    this.#objects.assertSize(upload.offset)
    if (upload.offset === upload.length) {
      this.#uploads.delete(id)
      this.#objects.complete(upload.bucket, upload)
    }
    response.writeHead(204, { 'upload-offset': upload.offset }).end()
  }
}

function parseMetadata(header: string): Record<string, string> {
  return Object.fromEntries(
    header.split(',').map((pair) => {
      const [name = '', value = ''] = pair.trim().split(' ')
      return [name, Buffer.from(value, 'base64').toString()]
    }),
  )
}
