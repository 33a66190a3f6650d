import { WorkspaceError } from '../errors.ts'
import { singleChunk } from '../single-chunk.ts'
import type { ObjectBody, PutOptions } from './object-store.ts'
import { sizeMismatch } from './object-options.ts'
import { unlessAborted } from './unless-aborted.ts'

/**
 * The chunks of a put's body, for adapters: counts them, enforces `size`, reports progress, and ends at once with the
 * signal's reason on an abort, even while the source itself never answers. Pulls one chunk at a time. When the
 * consumer stops early or anything fails, the source is stopped too. Chunks are the source's own memory, not copies.
 * @throws `INVALID_INPUT` when the body is not as long as `size`, or a chunk is not a `Uint8Array`
 */
export async function* readBody(
  key: string,
  body: ObjectBody,
  options: Pick<PutOptions, 'size' | 'signal' | 'onProgress'>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { size, signal, onProgress } = options
  signal?.throwIfAborted()
  const source = body instanceof Uint8Array ? singleChunk(body) : iterate(key, body)
  let bytes = 0
  let isAtEnd = false
  try {
    for (;;) {
      const next = await nextUnlessAborted(source, signal)
      if (next.done) break
      const chunk: unknown = next.value
      if (!(chunk instanceof Uint8Array)) throw notBytes(key, 'a chunk of the body')
      bytes += chunk.length
      if (size !== undefined && bytes > size) throw sizeMismatch(key, size, bytes)
      if (chunk.length > 0) {
        yield chunk
        onProgress?.(bytes)
      }
    }
    isAtEnd = true
    if (size !== undefined && bytes !== size) throw sizeMismatch(key, size, bytes)
  } finally {
    // Not awaited: a generator that is stuck in its own await answers `return` only when that ends.
    if (!isAtEnd) source.return?.().catch(() => undefined)
  }
}

async function nextUnlessAborted(
  source: AsyncIterator<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<IteratorResult<Uint8Array>> {
  signal?.throwIfAborted()
  return unlessAborted(source.next(), signal)
}

function iterate(key: string, body: Exclude<ObjectBody, Uint8Array>): AsyncIterator<Uint8Array> {
  const isIterable = typeof body === 'object' && body !== null && Symbol.asyncIterator in body
  if (!isIterable) throw notBytes(key, 'the body')
  return body[Symbol.asyncIterator]()
}

function notBytes(key: string, what: string): WorkspaceError {
  const message = `Cannot put ${JSON.stringify(key)}: ${what} is not a Uint8Array. Buffer.from(text) makes one.`
  return new WorkspaceError('INVALID_INPUT', message, { details: { key } })
}
