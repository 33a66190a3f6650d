import { setTimeout as delay } from 'node:timers/promises'

export interface RequestRetryOptions {
  /** How often one request is tried in all. @default 6 */
  readonly attempts?: number | undefined
  /** Upper bound of the first pause; each further bound is twice the one before. @default 500 */
  readonly firstDelayMs?: number | undefined
  /** No pause is longer than this. @default 8_000 */
  readonly maxDelayMs?: number | undefined
  /** A number from 0 up to 1. @default Math.random */
  readonly random?: (() => number) | undefined
  /** Must reject when the signal aborts. @default a timer */
  readonly sleep?: ((milliseconds: number, signal?: AbortSignal) => Promise<void>) | undefined
}

/** For adapters: how single requests are repeated of which the service says that it did not carry them out. */
export interface RequestRetries {
  readonly attempts: number
  /** Waits before the attempt after this one (from 1): half of an exponentially growing bound, the rest at random. */
  pause(attempt: number, signal: AbortSignal | undefined): Promise<void>
}

export function requestRetries(options: RequestRetryOptions = {}): RequestRetries {
  const { attempts = 6, firstDelayMs = 500, maxDelayMs = 8_000, random = Math.random } = options
  const sleep =
    options.sleep ??
    (async (milliseconds: number, signal?: AbortSignal) => {
      await delay(milliseconds, undefined, signal === undefined ? {} : { signal })
    })
  return {
    attempts,
    async pause(attempt, signal) {
      const bound = Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1))
      try {
        await sleep(bound / 2 + (random() * bound) / 2, signal)
      } finally {
        signal?.throwIfAborted()
      }
    },
  }
}
