import { Buffer } from 'node:buffer'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { toResource, type StoredGcsObject } from './gcs-objects.ts'
import { GcsProblem } from './gcs-problem.ts'
import type { UploadAnswer } from './gcs-uploads.ts'

/** Answers instead of the service; `break` ends the connection without an answer. */
export type GcsReaction =
  | { readonly status: number; readonly reason?: string; readonly message?: string }
  | { readonly status: number; readonly html: string }
  | 'break'

export async function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  object: StoredGcsObject,
): Promise<void> {
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '')
  let start = 0
  let end = object.size
  if (range !== null) {
    if (range[1] === '') start = Math.max(0, object.size - Number(range[2]))
    else {
      start = Number(range[1])
      if (range[2] !== '') end = Math.min(end, Number(range[2]) + 1)
    }
    if (start >= object.size)
      throw new GcsProblem(416, 'requestedRangeNotSatisfiable', 'The requested range cannot be satisfied.', {
        'content-range': `bytes */${object.size}`,
      })
  }
  response.writeHead(range === null ? 200 : 206, {
    'content-type': object.contentType,
    'content-length': end - start,
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${end - 1}/${object.size}` }),
    'last-modified': new Date(object.updated).toUTCString(),
    'x-goog-generation': object.generation,
    'x-goog-metageneration': object.metageneration,
    'x-goog-hash': `crc32c=${object.crc32c},md5=${object.md5Hash}`,
    'x-goog-stored-content-encoding': 'identity',
    'x-goog-stored-content-length': String(object.size),
    'x-goog-storage-class': 'STANDARD',
  })
  await pipeline(Readable.from(slices(object.chunks, start, end)), response)
}

function* slices(chunks: readonly Buffer[], start: number, end: number): Generator<Buffer> {
  let position = 0
  for (const chunk of chunks) {
    const from = Math.max(0, start - position)
    const to = Math.min(chunk.length, end - position)
    position += chunk.length
    for (let at = from; at < to; at += 65_536) yield chunk.subarray(at, Math.min(at + 65_536, to))
  }
}

export async function react(
  request: IncomingMessage,
  response: ServerResponse,
  reaction: GcsReaction,
): Promise<void> {
  if (reaction === 'break') {
    request.destroy()
    return
  }
  request.resume()
  if ('html' in reaction) {
    response.writeHead(reaction.status, { 'content-type': 'text/html' }).end(reaction.html)
    return
  }
  sendProblem(
    response,
    new GcsProblem(
      reaction.status,
      reaction.reason ?? 'backendError',
      reaction.message ?? 'We encountered an internal error. Please try again.',
    ),
  )
}

export function sendUploadAnswer(response: ServerResponse, answer: UploadAnswer): void {
  if (answer.kind === 'finished') return sendJson(response, toResource(answer.object))
  if (answer.kind === 'cancelled') {
    response.writeHead(499, { 'content-length': 0 }).end()
    return
  }
  const range = answer.size === 0 ? {} : { range: `bytes=0-${answer.size - 1}` }
  response.writeHead(308, { ...range, 'content-length': 0 }).end()
}

export function sendProblem(response: ServerResponse, problem: GcsProblem): void {
  const isText = problem.status === 304
  response
    .writeHead(problem.status, { 'content-type': 'application/json; charset=UTF-8', ...problem.headers })
    .end(isText ? undefined : problem.toBody())
}

export function sendJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(body))
}

export async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk as Uint8Array))
  return Buffer.concat(chunks)
}

export function sendPlainProblem(response: ServerResponse, problem: GcsProblem): void {
  response
    .writeHead(problem.status, { 'content-type': 'text/html; charset=UTF-8', ...problem.headers })
    .end(problem.status === 304 ? undefined : problem.message)
}
