import { setTimeout as delay } from 'node:timers/promises'
import { WorkspaceError } from '@ws/core'

const ATTEMPTS = 4
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5_000

/**
 * Sends a piece of a stream again when that may help. Nobody above can: the source is read once, and only here the piece
 * is still in memory.
 */
export async function repeatRequest<T>(
  send: () => Promise<T>,
  signal: AbortSignal | undefined,
  mayRepeat: (error: WorkspaceError) => boolean = () => true,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send()
    } catch (error) {
      signal?.throwIfAborted()
      if (attempt === ATTEMPTS || !WorkspaceError.is(error) || !error.retryable || !mayRepeat(error))
        throw error
      await pause(attempt, error, signal)
    }
  }
}

/** "Full jitter", and no less than the service asks for. */
async function pause(attempt: number, error: WorkspaceError, signal: AbortSignal | undefined): Promise<void> {
  const asked = Number(error.details['retryAfterMs'] ?? 0)
  const random = Math.random() * FIRST_PAUSE_MS * 2 ** (attempt - 1)
  const milliseconds = Math.min(LONGEST_PAUSE_MS, Math.max(asked, random))
  await delay(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
  signal?.throwIfAborted()
}
