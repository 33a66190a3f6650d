import { Buffer } from 'node:buffer'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { LOOPBACK } from '../loopback.ts'
import {
  describe,
  download,
  getBucket,
  list,
  remove,
  signDownload,
  signUpload,
  upload,
  useSignedUrl,
  type SupabaseCall,
} from './perform-supabase-request.ts'
import { SupabaseObjects } from './supabase-objects.ts'
import { SupabaseProblem } from './supabase-problem.ts'
import { roleOf, supabaseRoles, type SupabaseTokens } from './supabase-role.ts'
import { SupabaseTus } from './supabase-tus.ts'

export interface SupabaseServerOptions {
  /** @default ['bucket'] */
  readonly buckets?: readonly string[] | undefined
  /** @default { 'service-key': 'service' } */
  readonly tokens?: SupabaseTokens | undefined
  /** @default no limit */
  readonly fileSizeLimit?: number | undefined
  /** Whether uploads in parts exist: a gateway may not pass them on. @default true */
  readonly tus?: boolean | undefined
  /** Waited for between the check that an upload may be made and its end. @default nothing */
  readonly meanwhile?: (() => Promise<void>) | undefined
}

export interface SupabaseServer {
  /** What a test prints, so that it is clear what it ran against. */
  readonly name: string
  /** Of the project: storage is below `/storage/v1`. */
  readonly url: string
  /** Names in a bucket, as the service has them. */
  names(bucket: string): string[]
  /** Changes a stored byte behind the service's back. */
  damage(bucket: string, name: string): void
  /** Loses the bytes of an object, and keeps its row. */
  lose(bucket: string, name: string): void
  /** Uploads in parts that were begun and neither finished nor cancelled. */
  openUploads(): number
  stop(): Promise<void>
}

const BASE = '/storage/v1'

/**
 * Supabase's Storage API on loopback, in memory, with what is unfriendly about it: refusals are HTTP 400 with another
 * status inside, `upsert: false` is a check and no promise, many characters are refused in keys, rows that a policy
 * hides are absent.
 */
export async function startSupabaseServer(options: SupabaseServerOptions = {}): Promise<SupabaseServer> {
  const { buckets = ['bucket'], tokens = { 'service-key': 'service' }, tus: hasTus = true } = options
  const objects = new SupabaseObjects(buckets, options.fileSizeLimit ?? Number.MAX_SAFE_INTEGER)
  const tus = new SupabaseTus(objects)

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://loopback')
    if (!url.pathname.startsWith(`${BASE}/`)) throw new SupabaseProblem(404, 'Not Found', 'Route not found')
    const path = url.pathname.slice(BASE.length)
    if (hasTus && path.startsWith('/upload/resumable'))
      return tus.answer(request, response, roleOf(request.headers.authorization, tokens))
    const { bucket, name, perform, access } = routeOf(request.method ?? '', path, url)
    const role =
      access === 'signed' ? supabaseRoles.stranger : roleOf(request.headers.authorization, tokens, access)
    const { meanwhile = async () => undefined } = options
    await perform({ objects, request, response, url, role, bucket, name, meanwhile })
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent || !(error instanceof SupabaseProblem)) return response.destroy()
      // Uploads in parts answer with the status itself, and in plain text.
      const isTus = request.url?.startsWith(`${BASE}/upload/resumable`) === true
      response.writeHead(isTus ? error.statusCode : error.status, {
        'content-type': isTus ? 'text/plain' : 'application/json; charset=utf-8',
      })
      response.end(isTus ? error.message : error.toBody())
      return request.resume()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
  return {
    name: 'Supabase Storage protocol server on loopback',
    url: `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`,
    names: (bucket) => objects.sortedNames(bucket, supabaseRoles.service),
    damage(bucket, name) {
      const found = objects.find(bucket, name, supabaseRoles.service)
      const bytes = Buffer.concat(found.chunks)
      bytes[0] = (bytes[0] ?? 0) ^ 1
      found.chunks = [bytes]
    },
    lose(bucket, name) {
      objects.find(bucket, name, supabaseRoles.service).chunks = []
    },
    openUploads: () => tus.open,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** By a token in the URL, or also without any. */
type RouteAccess = 'signed' | 'anybody'

interface Route {
  readonly bucket: string
  readonly name: string
  readonly perform: (call: SupabaseCall) => void | Promise<void>
  readonly access: RouteAccess | undefined
}

/** Patterns are tried in this order: `sign` and the like are words of the API before they are buckets. */
const routes: readonly [string, RegExp, (call: SupabaseCall) => void | Promise<void>, RouteAccess?][] = [
  ['GET', /^\/bucket\/([^/]+)()$/, getBucket],
  ['POST', /^\/object\/list\/([^/]+)()$/, (call) => list(call, 1)],
  ['POST', /^\/object\/list-v2\/([^/]+)()$/, (call) => list(call, 2)],
  ['POST', /^\/object\/upload\/sign\/([^/]+)\/(.+)$/, signUpload],
  ['PUT', /^\/object\/upload\/sign\/([^/]+)\/(.+)$/, useSignedUrl, 'signed'],
  ['POST', /^\/object\/sign\/([^/]+)\/(.+)$/, signDownload],
  ['GET', /^\/object\/sign\/([^/]+)\/(.+)$/, useSignedUrl, 'signed'],
  ['GET', /^\/object\/info\/authenticated\/([^/]+)\/(.+)$/, describe],
  ['GET', /^\/object\/info\/([^/]+)\/(.+)$/, describe, 'anybody'],
  ['GET', /^\/object\/authenticated\/([^/]+)\/(.+)$/, download],
  ['GET', /^\/object\/([^/]+)\/(.+)$/, download, 'anybody'],
  ['POST', /^\/object\/([^/]+)\/(.+)$/, upload],
  ['PUT', /^\/object\/([^/]+)\/(.+)$/, upload],
  ['DELETE', /^\/object\/([^/]+)()$/, remove],
]

function routeOf(method: string, path: string, url: URL): Route {
  for (const [routeMethod, pattern, perform, access] of routes) {
    const match = routeMethod === method ? pattern.exec(path) : null
    if (match === null || (access === 'signed' && !url.searchParams.has('token'))) continue
    const [, bucket = '', name = ''] = match
    return {
      bucket: decodeURIComponent(bucket),
      name: decodeURIComponent(name).trim(),
      perform,
      access,
    }
  }
  throw new SupabaseProblem(404, 'Not Found', `Route ${method}:${path} not found`)
}
