import { Buffer } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { discardAnswer, receiveChunks, sendRequest } from '@ws/core'

/** What this store marks its requests with, also for another copy of this module. */
const MARK = Symbol.for('@ws/store-supabase request')
/** Statuses whose answers have no body, says the standard of `fetch`. */
const BODILESS = new Set([204, 205, 304])

const answers = new WeakMap<Response, IncomingMessage>()

/** The options of a `fetch`, for {@link storageFetch} to know as those of this store. */
export function markRequest(init: object): RequestInit {
  return { ...init, [MARK]: true } as RequestInit
}

/** Where the bytes of an answer can be read as they come; `null` for one of another `fetch`. */
export function answerOf(response: Response): IncomingMessage | null {
  return answers.get(response) ?? null
}

/**
 * A `fetch` for a client of Supabase, `createClient(url, key, { global: { fetch: storageFetch } })`: requests of
 * `supabaseStore` go over `node:http`, all others by Node's own `fetch`. That one allocates 64 KB for each read of a
 * connection and copies what it passes on, both ways: some 60 MB more in a process that moves a gigabyte.
 */
export const storageFetch: typeof globalThis.fetch = async (input, init) => {
  if (init === undefined || !(MARK in init)) return fetch(input, init)
  const { method = 'GET', headers, body, signal } = init
  const sent = new Headers(headers)
  // What is packed on its way would have to be unpacked here.
  if (!sent.has('accept-encoding')) sent.set('accept-encoding', 'identity')
  const { status, body: incoming } = await sendRequest(
    new URL(input instanceof Request ? input.url : input),
    { method, headers: sent, body: bodyOf(body), signal: signal ?? undefined, agent: undefined },
  )
  const fields = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct))
    for (const value of values ?? []) fields.append(name, value)
  const isBodiless = BODILESS.has(status) || method === 'HEAD'
  if (isBodiless) discardAnswer(incoming)
  const response = new Response(isBodiless ? null : streamOf(incoming), { status, headers: fields })
  answers.set(response, incoming)
  return response
}

function bodyOf(body: unknown): readonly Uint8Array[] | AsyncIterable<Uint8Array> {
  if (body === null || body === undefined) return []
  return typeof body === 'string' ? [Buffer.from(body)] : (body as AsyncIterable<Uint8Array>)
}

/** Nothing of the answer is read before something is asked for. */
function streamOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  const chunks = receiveChunks(incoming)
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await chunks.next()
        if (next.done === true) controller.close()
        else controller.enqueue(next.value)
      },
      cancel: () => discardAnswer(incoming),
    },
    { highWaterMark: 0 },
  )
}
