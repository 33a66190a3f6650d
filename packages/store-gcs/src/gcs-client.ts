import type { Agent } from 'node:http'
import type { Bucket } from '@google-cloud/storage'
import { credentialFailure, notTheService, responseFailure } from './gcs-error.ts'
import {
  askedDelay,
  connectionFailure,
  sendRequest,
  unlessAborted,
  type HttpResponse,
  type RequestRetries,
} from '@ws/core'

export interface GcsCall {
  /** What messages say the call does: `read`, `put`. */
  readonly action: string
  /** The key, or the prefix of a list. */
  readonly key: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** @default the object's own address */
  readonly url?: URL | undefined
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Pieces that make up the body, in memory. They are not copied. @default no body */
  readonly body?: readonly Uint8Array[] | undefined
  readonly signal?: AbortSignal | undefined
  /** What is for the caller to judge, beside success. @default none */
  readonly accept?: readonly number[] | undefined
  /** Whether nobody above can send it again, so that it is repeated here after a 429. @default false */
  readonly isOnlyHere?: boolean | undefined
  /** The address of an upload in parts is a permission by itself. @default false */
  readonly withoutCredentials?: boolean | undefined
}

export interface GcsClient {
  readonly bucket: Bucket
  readonly retry: RequestRetries
  /** Learned on the way: the service's answers tell the id of their request, as Google's own do. */
  readonly memory: { namesRequests: boolean }
  objectUrl(key: string): URL
  listUrl(): URL
  uploadUrl(): URL
  /** Sends, and rejects in the words of the error table for what is neither success nor accepted. */
  send(call: GcsCall): Promise<HttpResponse>
  /** One request, whatever its answer. */
  sendOnce(call: GcsCall): Promise<HttpResponse>
  /** Whether an answer tells the id of its request. */
  isNamed(response: HttpResponse): boolean
  /** Settles what a 404 means. @throws `NOT_FOUND` when it is the bucket that does not exist */
  assertAbsent(response: HttpResponse, key: string, signal: AbortSignal | undefined): Promise<void>
}

/**
 * The JSON API of one bucket, with the address, the credentials and the payer of the SDK's `Bucket`. The SDK's own
 * methods cannot be cancelled, repeat calls by themselves, and delete an object whose checksum differs; so only its
 * settings, its credentials and its signing are used.
 */
export function createGcsClient(bucket: Bucket, retry: RequestRetries, agent?: Agent): GcsClient {
  const { storage } = bucket
  const name = encodeURIComponent(bucket.name)
  const client: GcsClient = {
    bucket,
    retry,
    memory: { namesRequests: false },
    objectUrl: (key) => new URL(`${storage.baseUrl}/b/${name}/o/${encodeURIComponent(key)}`),
    listUrl: () => new URL(`${storage.baseUrl}/b/${name}/o`),
    uploadUrl: () => new URL(`${storage.apiEndpoint}/upload/storage/v1/b/${name}/o`),

    async send(call) {
      for (let attempt = 1; ; attempt += 1) {
        const response = await client.sendOnce(call)
        const isAccepted = call.accept?.includes(response.status) ?? false
        if (response.isSuccess || isAccepted) return response
        if (response.status !== 429 || call.isOnlyHere !== true || attempt >= retry.attempts)
          throw await responseFailure(response, call, bucket.name)
        response.discard()
        await retry.pause(attempt, call.signal, askedDelay(response.header).retryAfterMs)
      }
    },

    async sendOnce(call) {
      const { method, key, signal } = call
      const url = new URL(call.url ?? client.objectUrl(key))
      for (const [field, value] of Object.entries(call.query ?? {})) url.searchParams.set(field, value)
      if (bucket.userProject !== undefined) url.searchParams.set('userProject', bucket.userProject)
      const headers = call.withoutCredentials === true ? new Headers() : await authorize(bucket, url, call)
      for (const [field, value] of Object.entries(call.headers ?? {})) headers.set(field, value)
      try {
        const response = await sendRequest(url, { method, headers, body: call.body ?? [], signal, agent })
        client.memory.namesRequests ||= client.isNamed(response)
        return response
      } catch (error) {
        signal?.throwIfAborted()
        throw connectionFailure(call, error)
      }
    },

    isNamed: (response) => response.header('x-guploader-uploadid') !== null,

    async assertAbsent(response, key, signal) {
      const message = messageOf(await readText(response))
      if (message === undefined) throw notTheService({ action: 'find', key }, response.status)
      if (message.startsWith('No such object: ')) return
      // A bucket that can be listed is there.
      const query = { maxResults: '1', fields: 'kind' }
      const call = { action: 'find', key, method: 'GET', url: client.listUrl(), query, signal } as const
      const probe = await client.send(call)
      const page = (await readJson(probe, call)) as { readonly kind?: unknown } | null
      if (page?.kind !== 'storage#objects') throw notTheService(call, probe.status)
    },
  }
  return client
}

/** The body of a successful answer. @throws `UNAVAILABLE` when it is not the service's */
export async function readJson(
  response: HttpResponse,
  call: Pick<GcsCall, 'action' | 'key' | 'signal'>,
): Promise<unknown> {
  try {
    const text = await response.text()
    if (response.header('content-type')?.startsWith('application/json') === true) return JSON.parse(text)
  } catch (error) {
    call.signal?.throwIfAborted()
    throw connectionFailure(call, error)
  }
  throw notTheService(call, response.status)
}

async function authorize(bucket: Bucket, url: URL, call: GcsCall): Promise<Headers> {
  const { storage } = bucket
  // As the SDK has it: an emulator gets no credentials unless it is told to.
  if (storage.customEndpoint && storage.useAuthWithCustomEndpoint !== true) return new Headers()
  try {
    return new Headers(await unlessAborted(storage.authClient.getRequestHeaders(url.href), call.signal))
  } catch (error) {
    call.signal?.throwIfAborted()
    throw credentialFailure(error, call)
  }
}

async function readText(response: HttpResponse): Promise<string> {
  return response.text().catch(() => '')
}

function messageOf(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } }
    return typeof error?.message === 'string' ? error.message : undefined
  } catch {
    return undefined
  }
}
