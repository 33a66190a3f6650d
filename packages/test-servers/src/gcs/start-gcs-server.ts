import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { react, sendPlainProblem, sendProblem, type GcsReaction } from './gcs-answer.ts'
import { GcsObjects } from './gcs-objects.ts'
import { GcsProblem, tooManyMutations } from './gcs-problem.ts'
import { assertAllowed, routeOf, type GcsRequest, type GcsTokens } from './gcs-route.ts'
import { verifySignedUrl, type GcsSigner } from './gcs-signed-url.ts'
import { GcsUploads } from './gcs-uploads.ts'
import { LOOPBACK } from '../loopback.ts'
import { performGcsRequest } from './perform-gcs-request.ts'

export interface GcsServerOptions {
  /** @default ['bucket'] */
  readonly buckets?: readonly string[] | undefined
  /** What each bearer token may do. @default everybody may do everything, without a token */
  readonly tokens?: GcsTokens | undefined
  /** Whose signed URLs are good. @default nobody's */
  readonly signer?: GcsSigner | undefined
  /** @default () => new Date() */
  readonly now?: (() => Date) | undefined
  /** Whether answers tell the id of their request, as Google's do and those of emulators do not. @default true */
  readonly namesRequests?: boolean | undefined
}

export interface GcsServer {
  /** What a test prints, so that it is clear what it ran against. */
  readonly name: string
  readonly url: string
  /** All requests so far. */
  readonly requests: readonly GcsRequest[]
  /** Asked before each request. @default the service answers */
  intercept: (request: GcsRequest) => GcsReaction | undefined
  /** The next changes of this object get 429, as when one object changes more than about once a second. */
  refuseMutations(name: string, times: number): void
  /** Changes a stored byte behind the service's back: its checksum stays. */
  damage(bucket: string, name: string): void
  /** Names in a bucket, as they came in. */
  names(bucket: string): string[]
  /** Resumable uploads that were begun and neither finished nor cancelled. */
  openUploads(): number
  stop(): Promise<void>
}

/**
 * Google Cloud Storage's JSON API on loopback, in memory: generations and preconditions, simple, multipart and
 * resumable uploads, ranges, listing, checksums, V4 signed URLs, and the errors in the service's own words.
 */
export async function startGcsServer(options: GcsServerOptions = {}): Promise<GcsServer> {
  const objects = new GcsObjects(options.buckets ?? ['bucket'])
  const uploads = new GcsUploads(objects)
  const refusals = new Map<string, number>()
  const requests: GcsRequest[] = []

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent || !(error instanceof GcsProblem)) response.destroy()
      else sendProblem(response, error)
    })
  })

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://loopback')
    const route = routeOf(request.method ?? '', url)
    if (options.namesRequests !== false) response.setHeader('x-guploader-uploadid', randomUUID())
    requests.push(route)
    const reaction = service.intercept(route)
    if (reaction !== undefined) return react(request, response, reaction)
    try {
      if (route.operation.startsWith('signed.')) {
        const now = options.now?.() ?? new Date()
        verifySignedUrl(request.method ?? '', url, request.headers, options.signer, now)
      } else assertAllowed(request, route, options.tokens)
      // A part of an upload changes nothing before the last one, which goes through `receive`.
      if (/^(object\.(insert|patch|delete)|upload\.start|signed\.write)$/.test(route.operation))
        refuseIfBusy(route)
      await performGcsRequest({ objects, uploads }, request, response, url, route)
    } catch (error) {
      // Only a read of the bytes is refused in plain text.
      if (!(error instanceof GcsProblem) || route.operation !== 'object.read') throw error
      sendPlainProblem(response, error)
    }
  }

  const refuseIfBusy = ({ bucket, name }: GcsRequest): void => {
    const left = refusals.get(name) ?? 0
    if (left === 0) return
    refusals.set(name, left - 1)
    throw tooManyMutations(bucket, name)
  }

  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
  const service: GcsServer = {
    name: 'Google Cloud Storage protocol server on loopback',
    url: `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`,
    requests,
    intercept: () => undefined,
    refuseMutations: (name, times) => void refusals.set(name, times),
    damage(bucket, name) {
      const found = objects.find(bucket, name, new URLSearchParams())
      const bytes = Buffer.concat(found.chunks)
      bytes[0] = (bytes[0] ?? 0) ^ 1
      found.chunks = [bytes]
    },
    names: (bucket) => [...objects.bucket(bucket).keys()],
    openUploads: () => uploads.open,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return service
}
