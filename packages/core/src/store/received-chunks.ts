import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { finished, type Readable } from 'node:stream'
import { releaseBuffer } from './release-buffer.ts'

/** So much may have come that nobody has asked for yet. */
const MAX_WAITING_BYTES = 64 * 1024

/**
 * For adapters: the chunks of an answer, each as it came; a stream's own iterator joins those that have gathered, which
 * copies them. With `reusesChunks` the memory of each is given back when the next one is asked for, where it belongs to
 * nobody else: to V8 a chunk is a small object, so it would let some 75 MB of dead ones gather. When it is left early, a
 * stream of the web is cancelled, another one is the caller's to end.
 * @param stream read by nobody else
 * @param source where the chunks come from, for a stream that passes them on as they are
 * @throws what the stream ends with
 */
export async function* receiveChunks(
  stream: Readable | ReadableStream<Uint8Array>,
  reusesChunks = false,
  source: unknown = stream,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = 'getReader' in stream ? readWebStream(stream) : readStream(stream)
  const releases = reusesChunks && ownsChunks(source)
  const stop = releases && isHttpAnswer(source) ? releaseReads(source) : undefined
  try {
    for await (const chunk of chunks) {
      yield chunk
      if (releases) releaseWhole(chunk)
    }
  } finally {
    stop?.()
  }
}

/**
 * Node allocates 64 KB for each read of a connection, and copies from there what it passes on: as much dead memory again as
 * the chunks. It is nobody's after the parser, the first listener; whoever else listens may keep it.
 */
function releaseReads(answer: IncomingMessage): (() => void) | undefined {
  // Gone, or another request's, where the whole answer has come.
  const socket = answer.socket as Socket | null
  if (answer.complete || socket === null) return undefined
  const release = (bytes: Uint8Array): void => {
    // Then the parser listens no more.
    if (answer.complete) stop()
    else if (socket.listenerCount('data') === 2) releaseWhole(bytes)
  }
  const stop = (): void => void socket.off('data', release)
  socket.on('data', release)
  return stop
}

function releaseWhole(chunk: Uint8Array): void {
  if (chunk.byteLength === chunk.buffer.byteLength) releaseBuffer(chunk)
}

/** Node's parser makes each chunk of an answer a copy of its own; a stream of bytes hands the memory over to its reader. */
function ownsChunks(source: unknown): boolean {
  if (!(source instanceof ReadableStream)) return isHttpAnswer(source)
  try {
    source.getReader({ mode: 'byob' }).releaseLock()
    return true
  } catch {
    return false
  }
}

/** An import would load Node's `fetch` too, 15 ms of each start of whoever stores nothing over HTTP. */
function isHttpAnswer(source: unknown): source is IncomingMessage {
  return source instanceof process.getBuiltinModule('node:http').IncomingMessage
}

async function* readWebStream(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader()
  try {
    for (let next = await reader.read(); next.value !== undefined; next = await reader.read())
      yield next.value
  } finally {
    // Does nothing to one that is at its end.
    await reader.cancel().catch(() => undefined)
  }
}

async function* readStream(stream: Readable): AsyncGenerator<Uint8Array, void, undefined> {
  const waiting: Uint8Array[] = []
  let waitingBytes = 0
  let outcome: { readonly isOver: boolean; readonly error?: Error | null | undefined } = { isOver: false }
  let wake = (): void => undefined
  const take = (chunk: Uint8Array): void => {
    waiting.push(chunk)
    waitingBytes += chunk.length
    if (waitingBytes >= MAX_WAITING_BYTES) stream.pause()
    wake()
  }
  // Stays: whatever becomes of a stream that was left is no event.
  finished(stream, { writable: false }, (error) => {
    outcome = { isOver: true, error }
    wake()
  })
  stream.on('data', take)
  try {
    for (;;) {
      const chunk = waiting.shift()
      if (chunk !== undefined) {
        waitingBytes -= chunk.length
        yield chunk
      } else if (!outcome.isOver) {
        const woken = new Promise<void>((resolve) => void (wake = resolve))
        stream.resume()
        await woken
      } else if (outcome.error) throw outcome.error
      else return
    }
  } finally {
    stream.off('data', take)
  }
}
