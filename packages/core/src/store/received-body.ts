import { WorkspaceError } from '../errors.ts'
import { callFailure, connectionFailure, damagedContent } from './call-failure.ts'

export interface ReceivedBody {
  readonly key: string
  /** As they come from the service. */
  readonly chunks: AsyncIterable<Uint8Array>
  /** How many bytes must come. */
  readonly expected: number
  /** Called with each chunk; gives what is wrong with all of them together at the end. @default nothing */
  readonly checksum?: { update(chunk: Uint8Array): void; problem(): string | null } | undefined
  /** Ends the request of a body that is not read to its end. */
  readonly stop: () => void
  readonly signal: AbortSignal | undefined
}

/**
 * For adapters: the bytes of an answer, as many as there must be, with the right checksum.
 * @throws `UNAVAILABLE` when too few come, `CORRUPT` when too many or others; the signal's reason
 */
export async function* receiveBody(body: ReceivedBody): AsyncGenerator<Uint8Array, void, undefined> {
  const { key, chunks, expected, checksum, stop, signal } = body
  const call = { action: 'read', key }
  let received = 0
  try {
    for await (const chunk of chunks) {
      signal?.throwIfAborted()
      received += chunk.length
      // Not at its end, which may never come.
      if (received > expected) throw damagedContent(key, `more than its ${expected} bytes came`)
      checksum?.update(chunk)
      yield chunk
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw WorkspaceError.is(error) ? error : connectionFailure(call, error)
  } finally {
    // The connection of a body that has come whole may be another request's already.
    if (received !== expected) stop()
  }
  if (received < expected)
    throw callFailure(call, 'UNAVAILABLE', `only ${received} of ${expected} bytes came; try again`)
  const problem = checksum?.problem() ?? null
  if (problem !== null) throw damagedContent(key, problem)
}
