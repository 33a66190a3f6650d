import { WorkspaceError, isObject, readText, type OptionCheck, type RequestRetries } from '@ws/core'
import { markRequest } from './storage-fetch.ts'
import {
  networkFailure,
  notTheService,
  problemFailure,
  readProblem,
  type SupabaseProblem,
} from './supabase-error.ts'

/** A `StorageClient` of `@supabase/storage-js`, of any copy and version. */
export interface StorageClientLike {
  from(bucket: string): object
}

/** A `SupabaseClient` of `@supabase/supabase-js`, of any copy and version. */
export interface SupabaseClientLike {
  readonly storage: StorageClientLike
}

export interface SupabaseCall {
  readonly action: string
  readonly key: string
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE'
  /** Below the storage API, encoded. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: string | AsyncIterable<Uint8Array> | undefined
  readonly signal?: AbortSignal | undefined
}

type SupabaseAnswer =
  | { readonly response: Response; readonly problem: null }
  | { readonly response: Response; readonly problem: SupabaseProblem }

export interface SupabaseConnection {
  readonly bucket: string
  readonly url: string
  /** Of the client: they say who asks. */
  readonly headers: Readonly<Record<string, string>> | Headers
  readonly retries: RequestRetries
  /** One request. What the service refuses is a `problem`; what is not the service's answer rejects. */
  send(call: SupabaseCall): Promise<SupabaseAnswer>
  /** The answer of a request that must succeed. */
  sendOrThrow(call: SupabaseCall): Promise<Response>
  /** `/object/<bucket>/<name>` and the like. */
  objectPath(kind: string, name: string): string
}

interface ClientSettings {
  readonly url: string
  readonly headers: Readonly<Record<string, string>> | Headers
  readonly fetch: typeof globalThis.fetch
}

/** The Storage API of one bucket, with the address, the headers and the `fetch` (which renews tokens) of the caller's client. */
export function connectSupabase(
  client: StorageClientLike | SupabaseClientLike,
  bucket: string,
  retries: RequestRetries,
): SupabaseConnection {
  const settings = settingsOf(client)
  if (settings === null) throw new WorkspaceError('INVALID_INPUT', 'This is no client of Supabase.')
  const { url, headers, fetch } = settings
  const connection: SupabaseConnection = {
    bucket,
    url,
    headers,
    retries,
    objectPath: (kind, name) =>
      `${kind}/${encodeURIComponent(bucket)}/${name.split('/').map(encodeURIComponent).join('/')}`,

    async send(call) {
      const stream = isStream(call.body) ? { duplex: 'half' } : {}
      const init = { ...stream, method: call.method, body: call.body ?? null, signal: call.signal ?? null, redirect: 'manual' } // prettier-ignore
      let response: Response
      try {
        const sent = new Headers(headers)
        for (const [field, value] of Object.entries(call.headers ?? {})) sent.set(field, value)
        response = await fetch(`${url}/${call.path}`, markRequest({ ...init, headers: sent }))
      } catch (error) {
        call.signal?.throwIfAborted()
        throw networkFailure(error, call)
      }
      if (response.ok) return { response, problem: null }
      return { response, problem: await readProblem(response, call) }
    },

    async sendOrThrow(call) {
      const { response, problem } = await connection.send(call)
      if (problem !== null) throw problemFailure(problem, call, bucket)
      return response
    },
  }
  return connection
}

/** The body of a successful answer. @throws `UNAVAILABLE` when it is not the service's */
export async function readJson(
  response: Response,
  call: Pick<SupabaseCall, 'action' | 'key' | 'signal'>,
): Promise<unknown> {
  try {
    const text = await readText(response.body ?? ReadableStream.from([]))
    if (response.headers.get('content-type')?.startsWith('application/json') === true) {
      const value: unknown = JSON.parse(text)
      if (typeof value === 'object' && value !== null) return value
    }
  } catch (error) {
    call.signal?.throwIfAborted()
    throw networkFailure(error, call)
  }
  throw notTheService(call, response.status)
}

export const isClient: OptionCheck = (value) =>
  settingsOf(value) === null ? 'a client: createClient(url, key), or a StorageClient' : null

/** What every version keeps in its fields; its types call them protected. `null` for what is no client. */
function settingsOf(client: unknown): ClientSettings | null {
  const storage: unknown =
    typeof client === 'object' && client !== null && 'storage' in client ? client.storage : client
  const { url, headers, fetch } = (storage ?? {}) as Partial<ClientSettings>
  if (
    typeof url !== 'string' ||
    isObject(headers) !== null ||
    headers === undefined ||
    typeof fetch !== 'function'
  )
    return null
  return { url: url.replace(/\/$/, ''), headers, fetch }
}

function isStream(body: SupabaseCall['body']): boolean {
  return typeof body === 'object' && Symbol.asyncIterator in body
}
