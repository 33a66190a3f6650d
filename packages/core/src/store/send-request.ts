import type { Agent, ClientRequest, IncomingMessage } from 'node:http'
import { discardAnswer } from './discard-answer.ts'
import { readText } from './read-text.ts'

/** Handed to the connection at a time. */
const SLICE_BYTES = 262_144

export interface HttpRequest {
  readonly method: string
  readonly headers: Headers
  /** Pieces that make up the body. They are sent from where they are: `fetch` would copy them, and keep the copies. */
  readonly body: readonly Uint8Array[] | AsyncIterable<Uint8Array>
  readonly signal: AbortSignal | undefined
  readonly agent: Agent | undefined
}

export interface HttpResponse {
  readonly status: number
  readonly isSuccess: boolean
  readonly header: (name: string) => string | null
  /** The bytes as they came, whatever their encoding. */
  readonly body: IncomingMessage
  text(): Promise<string>
  /** For an answer whose body nobody reads. */
  discard(): void
}

/**
 * For adapters: one request over HTTP/1.1; redirects are answers like others. An abort closes the connection, at any moment.
 * @throws what the connection, or the body, fails with
 */
export function sendRequest(url: URL, request: HttpRequest): Promise<HttpResponse> {
  const { method, headers, body, signal, agent } = request
  const isGathered = Symbol.iterator in body
  if (isGathered) {
    const length = body.reduce((sum, piece) => sum + piece.length, 0)
    if (length > 0 || (method !== 'GET' && method !== 'HEAD' && method !== 'DELETE'))
      headers.set('content-length', String(length))
  }
  return new Promise((resolve, reject) => {
    // An import would take 15 ms of each start of whoever stores nothing over HTTP.
    const { request: send } = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http')
    const outgoing = send(url, {
      method,
      headers: Object.fromEntries(headers),
      ...(agent === undefined ? {} : { agent }),
      ...(signal === undefined ? {} : { signal }),
    })
    outgoing.on('response', (incoming) => resolve(toResponse(incoming)))
    outgoing.on('error', reject)
    if (isGathered) writeSlices(slices(body), outgoing)
    else void writeStream(body, outgoing)
  })
}

function writeSlices(rest: Iterator<Uint8Array>, outgoing: ClientRequest): void {
  for (;;) {
    const next = rest.next()
    if (next.done === true) {
      outgoing.end()
      return
    }
    if (!outgoing.write(next.value)) {
      outgoing.once('drain', () => writeSlices(rest, outgoing))
      return
    }
  }
}

async function writeStream(body: AsyncIterable<Uint8Array>, outgoing: ClientRequest): Promise<void> {
  try {
    for await (const piece of body) {
      if (outgoing.destroyed) return
      if (!outgoing.write(piece)) await drained(outgoing)
    }
    outgoing.end()
  } catch (error) {
    outgoing.destroy(error instanceof Error ? error : new Error('The body failed.', { cause: error }))
  }
}

async function drained(outgoing: ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  outgoing.once('drain', resolve).once('close', resolve)
  await promise
  outgoing.off('drain', resolve).off('close', resolve)
}

function* slices(pieces: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += SLICE_BYTES) yield piece.subarray(at, at + SLICE_BYTES)
}

function toResponse(incoming: IncomingMessage): HttpResponse {
  const status = incoming.statusCode ?? 0
  // Whoever reads is told of a broken connection; one that breaks when nobody reads is no event.
  incoming.on('error', () => undefined)
  return {
    status,
    isSuccess: status >= 200 && status < 300,
    header(name) {
      const value = incoming.headers[name]
      return value === undefined ? null : String(value)
    },
    body: incoming,
    text: () => readText(incoming),
    discard: () => discardAnswer(incoming),
  }
}
