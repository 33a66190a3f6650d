import type { IncomingMessage } from 'node:http'

/** A rest of this size is read and thrown away, since a new connection costs more. */
const DRAINED_BYTES = 65_536
const DRAINED_MS = 3_000

/**
 * For adapters: lets go of an answer whose rest nobody reads. A short rest that comes soon leaves the connection to other
 * requests; any other closes it, which would else stay open, and keep the process, for as long as the other end likes.
 */
export function discardAnswer(answer: IncomingMessage): void {
  if (answer.destroyed || answer.readableEnded) return
  if (!answer.complete && Number(answer.headers['content-length'] ?? 0) > DRAINED_BYTES) {
    answer.destroy()
    return
  }
  let drained = 0
  const timer = setTimeout(() => answer.destroy(), DRAINED_MS)
  timer.unref()
  answer.once('close', () => clearTimeout(timer))
  answer.on('data', (chunk: Uint8Array) => {
    drained += chunk.length
    if (drained > DRAINED_BYTES) answer.destroy()
  })
  answer.resume()
}
