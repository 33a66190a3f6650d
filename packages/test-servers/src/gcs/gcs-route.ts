import type { IncomingMessage } from 'node:http'
import { GcsProblem } from './gcs-problem.ts'

export interface GcsRequest {
  readonly operation:
    | 'bucket.get'
    | 'object.get'
    | 'object.read'
    | 'object.insert'
    | 'object.patch'
    | 'object.delete'
    | 'object.list'
    | 'upload.start'
    | 'upload.part'
    | 'upload.cancel'
    | 'signed.read'
    | 'signed.write'
  readonly bucket: string
  /** The object's name; empty where the operation names none. */
  readonly name: string
}

export type GcsTokens = Readonly<Record<string, 'write' | 'read' | 'nothing'>>

/** What a request asks for. A path that is not the API's is the XML API's: only signed URLs go there. */
export function routeOf(method: string, url: URL): GcsRequest {
  const query = url.searchParams
  const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname)
  if (upload !== null) {
    const bucket = decodeURIComponent(upload[1] ?? '')
    const session = query.get('upload_id')
    if (session !== null) {
      const operation = method === 'DELETE' ? 'upload.cancel' : 'upload.part'
      return { operation, bucket, name: query.get('name') ?? '' }
    }
    const operation = query.get('uploadType') === 'resumable' ? 'upload.start' : 'object.insert'
    return { operation, bucket, name: query.get('name') ?? '' }
  }
  const api = /^(?:\/storage\/v1)?\/b\/([^/]+)(?:\/o(?:\/(.+))?|)$/.exec(url.pathname)
  // The SDK leaves `/storage/v1` out when STORAGE_EMULATOR_HOST is set.
  if (api === null || query.has('X-Goog-Signature')) {
    const [, bucket = '', ...path] = url.pathname.split('/')
    const operation = method === 'PUT' ? 'signed.write' : 'signed.read'
    return { operation, bucket, name: decodeURIComponent(path.join('/')) }
  }
  const bucket = decodeURIComponent(api[1] ?? '')
  const name = decodeURIComponent(api[2] ?? '')
  if (!url.pathname.includes('/o', url.pathname.indexOf('/b/') + 3 + (api[1] ?? '').length))
    return { operation: 'bucket.get', bucket, name }
  if (name === '') return { operation: 'object.list', bucket, name }
  if (method === 'DELETE') return { operation: 'object.delete', bucket, name }
  if (method === 'PATCH') return { operation: 'object.patch', bucket, name }
  return { operation: query.get('alt') === 'media' ? 'object.read' : 'object.get', bucket, name }
}

/** 401 without a good token, 403 when it does not reach. */
export function assertAllowed(
  request: IncomingMessage,
  { operation, bucket }: GcsRequest,
  tokens: GcsTokens | undefined,
): void {
  // The address of an upload session is itself the permission.
  if (tokens === undefined || operation === 'upload.part' || operation === 'upload.cancel') return
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
  const right = token !== undefined && Object.hasOwn(tokens, token) ? tokens[token] : undefined
  if (right === undefined) throw new GcsProblem(401, 'authError', 'Invalid Credentials')
  const isRead = /^(bucket\.get|object\.(get|read|list))$/.test(operation)
  if (right === 'write' || (right === 'read' && isRead)) return
  const message = `reader@project.iam.gserviceaccount.com does not have storage.${operation} access to the Google Cloud Storage bucket ${bucket}.`
  throw new GcsProblem(403, 'forbidden', message)
}
