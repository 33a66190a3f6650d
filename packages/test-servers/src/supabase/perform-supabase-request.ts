import { Buffer } from 'node:buffer'
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { listFolder, listPage } from './list-supabase-objects.ts'
import type { StoredSupabaseObject, SupabaseObjects } from './supabase-objects.ts'
import { SupabaseProblem, invalidToken, lostBytes } from './supabase-problem.ts'
import { supabaseRoles, type SupabaseRole } from './supabase-role.ts'

export interface SupabaseCall {
  readonly objects: SupabaseObjects
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly url: URL
  readonly role: SupabaseRole
  readonly bucket: string
  /** The object's name, decoded as the service decodes it. */
  readonly name: string
  /** What else happens between the check of an upload and its end. */
  readonly meanwhile: () => Promise<void>
}

const UPLOAD_URL_MS = 7_200_000

export function getBucket({ objects, response, bucket, role }: SupabaseCall): void {
  objects.bucket(bucket, role)
  sendJson(response, { id: bucket, name: bucket, public: false, file_size_limit: objects.fileSizeLimit })
}

/** Checks, takes the bytes, then writes the row: what happens in between is not looked at again. */
export async function upload(call: SupabaseCall): Promise<void> {
  const { objects, request, response, bucket, name, role } = call
  const isUpsert = request.method === 'PUT' || request.headers['x-upsert'] === 'true'
  // The route looks for the bucket by itself, with all rights.
  objects.bucket(bucket)
  objects.assertMayUpload(bucket, name, isUpsert, role)
  const chunks: Buffer[] = []
  let size = 0
  for await (const data of request) {
    size += (data as Uint8Array).length
    // Read to its end, so that the answer finds its reader.
    if (size <= objects.fileSizeLimit) chunks.push(Buffer.from(data as Uint8Array))
  }
  objects.assertSize(size)
  await call.meanwhile()
  const metadata = request.headers['x-metadata']
  const contentType = request.headers['content-type'] ?? 'application/octet-stream'
  const userMetadata =
    typeof metadata === 'string' ? (JSON.parse(Buffer.from(metadata, 'base64').toString()) as object) : null
  const { id } = objects.complete(bucket, { name, chunks, contentType, userMetadata, parts: [] })
  sendJson(response, { Id: id, Key: `${bucket}/${name}` })
}

export async function download({
  objects,
  request,
  response,
  bucket,
  name,
  role,
}: SupabaseCall): Promise<void> {
  await sendObject(request, response, objects.find(bucket, name, role))
}

export function describe({ objects, response, bucket, name, role }: SupabaseCall): void {
  const found = objects.find(bucket, name, role)
  sendJson(response, {
    id: found.id,
    name,
    version: found.id,
    bucket_id: bucket,
    size: found.size,
    content_type: found.contentType,
    cache_control: 'no-cache',
    etag: found.etag,
    metadata: found.userMetadata ?? {},
    last_modified: found.updatedAt,
    created_at: found.createdAt,
  })
}

export async function list(call: SupabaseCall, version: 1 | 2): Promise<void> {
  const { objects, request, response, bucket, role } = call
  const query = (await readJson(request)) as object
  sendJson(
    response,
    version === 1 ? listFolder(objects, bucket, query, role) : listPage(objects, bucket, query, role),
  )
}

export async function remove({ objects, request, response, bucket, role }: SupabaseCall): Promise<void> {
  const { prefixes } = (await readJson(request)) as { prefixes: string[] }
  sendJson(
    response,
    objects.remove(bucket, prefixes, role).map(({ id, name }) => ({ id, name, bucket_id: bucket })),
  )
}

export async function signDownload({
  objects,
  request,
  response,
  bucket,
  name,
  role,
}: SupabaseCall): Promise<void> {
  const { expiresIn } = (await readJson(request)) as { expiresIn: number }
  objects.find(bucket, name, role)
  const token = sign('download', bucket, name, Date.now() + expiresIn * 1_000)
  sendJson(response, { signedURL: `/object/sign/${bucket}/${encodeURI(name)}?token=${token}` })
}

export function signUpload({ objects, request, response, bucket, name, role }: SupabaseCall): void {
  request.resume()
  const kind = request.headers['x-upsert'] === 'true' ? 'upsert' : 'upload'
  objects.assertMayUpload(bucket, name, kind === 'upsert', role)
  const token = sign(kind, bucket, name, Date.now() + UPLOAD_URL_MS)
  sendJson(response, { url: `/object/upload/sign/${bucket}/${encodeURI(name)}?token=${token}`, token })
}

/** A request whose permission is in its URL. */
export async function useSignedUrl(call: SupabaseCall): Promise<void> {
  const { request, url, bucket, name } = call
  const kind = verify(url.searchParams.get('token') ?? '', bucket, name)
  const isRead = request.method === 'GET'
  if (isRead !== (kind === 'download')) throw invalidToken('InvalidSignature')
  const signed = { ...call, role: supabaseRoles.service }
  if (isRead) return download(signed)
  request.headers['x-upsert'] = String(kind === 'upsert')
  await upload(signed)
}

const key = 'the key of this server'

function sign(kind: string, bucket: string, name: string, expiresAt: number): string {
  const claim = Buffer.from(JSON.stringify([kind, bucket, name, expiresAt])).toString('base64url')
  return `${claim}.${createHmac('sha256', key).update(claim).digest('base64url')}`
}

function verify(token: string, bucket: string, name: string): string {
  const [claim = '', given = ''] = token.split('.')
  const expected = createHmac('sha256', key).update(claim).digest()
  const mac = Buffer.from(given, 'base64url')
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected))
    throw new SupabaseProblem(400, 'InvalidJWT', 'signature verification failed')
  const [kind, forBucket, forName, expiresAt] = JSON.parse(Buffer.from(claim, 'base64url').toString()) as [
    string,
    string,
    string,
    number,
  ]
  if (forBucket !== bucket || forName !== name)
    throw new SupabaseProblem(400, 'InvalidSignature', 'InvalidSignature')
  if (Date.now() >= expiresAt)
    throw new SupabaseProblem(400, 'InvalidJWT', '"exp" claim timestamp check failed')
  return kind
}

async function sendObject(
  request: IncomingMessage,
  response: ServerResponse,
  object: StoredSupabaseObject,
): Promise<void> {
  if (object.chunks.length === 0 && object.size > 0) throw lostBytes()
  const headers = {
    etag: object.etag,
    'last-modified': new Date(object.updatedAt).toUTCString(),
    'content-type': object.contentType,
    'cache-control': 'no-cache',
    'accept-ranges': 'bytes',
  }
  if (request.headers['if-none-match'] === object.etag) {
    response.writeHead(304, headers).end()
    return
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = range === null || range[2] === '' ? object.size : Math.min(object.size, Number(range[2]) + 1)
  if (range !== null && start >= object.size) {
    response.writeHead(416, { 'content-type': 'application/json', 'content-range': `bytes */${object.size}` })
    response.end(new SupabaseProblem(416, 'InvalidRange', 'The requested range is not satisfiable').toBody())
    return
  }
  response.writeHead(range === null ? 200 : 206, {
    ...headers,
    'content-length': end - start,
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${object.size}` }),
  })
  await pipeline(Readable.from(slices(object.chunks, start, end)), response)
}

function* slices(chunks: readonly Buffer[], start: number, end: number): Generator<Buffer> {
  let position = 0
  for (const chunk of chunks) {
    const bytes = chunk.subarray(Math.max(0, start - position), Math.max(0, end - position))
    position += chunk.length
    if (bytes.length > 0) yield bytes
  }
}

function sendJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array))
  return JSON.parse(Buffer.concat(chunks).toString())
}
