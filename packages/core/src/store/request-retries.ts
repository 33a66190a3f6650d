import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { setTimeout as delay } from 'node:timers/promises'
import { WorkspaceError } from '../errors.ts'
import { isAmount, isFunction, isPositive } from '../option-checks.ts'

const MAX_TIMER_MS = 2 ** 31 - 1

export interface RequestRetryOptions {
  /** How often one request is tried in all. @default 4 */
  readonly attempts?: number | undefined
  /** Upper bound of the first pause; each further bound is twice the one before. @default 200 */
  readonly firstDelayMs?: number | undefined
  /** No pause is longer than this. @default 5_000 */
  readonly maxDelayMs?: number | undefined
  /** A number from 0 up to 1. @default Math.random */
  readonly random?: (() => number) | undefined
  /** Must reject when the signal aborts. @default a timer */
  readonly sleep?: ((milliseconds: number, signal?: AbortSignal) => Promise<void>) | undefined
}

const requestRetryOptionNames: OptionNames<RequestRetryOptions> = {
  attempts: isPositive,
  firstDelayMs: isAmount,
  maxDelayMs: isAmount,
  random: isFunction,
  sleep: isFunction,
}

/**
 * For adapters: how single requests are repeated that nobody above can repeat: a piece of a stream, which is in memory
 * only here, and what the service says that it did not carry out.
 */
export interface RequestRetries {
  readonly attempts: number
  /**
   * Waits before the attempt after this one (from 1): half of an exponentially growing bound, the rest at random, and no
   * less than the service asks for.
   */
  pause(attempt: number, signal: AbortSignal | undefined, askedMs?: number): Promise<void>
  /**
   * Sends until it works, fails for good, or was tried often enough. Failures that `mayRepeat` allows and that call
   * themselves `retryable` are repeated, with a pause that is no shorter than their `details.retryAfterMs`.
   * @param mayRepeat @default all
   */
  repeat<Result>(
    send: () => Promise<Result>,
    signal: AbortSignal | undefined,
    mayRepeat?: (error: WorkspaceError) => boolean,
  ): Promise<Result>
}

/** For adapters: see {@link RequestRetries}; what is not given has its default. @throws `INVALID_INPUT` */
export function requestRetries(options: RequestRetryOptions = {}): RequestRetries {
  assertKnownOptions('retry', options, requestRetryOptionNames)
  const { attempts = 4, firstDelayMs = 200, maxDelayMs = 5_000, random = Math.random, sleep = wait } = options
  const retries: RequestRetries = {
    attempts,

    async pause(attempt, signal, askedMs = 0) {
      const bound = firstDelayMs * 2 ** (attempt - 1)
      const milliseconds = Math.min(maxDelayMs, Math.max(askedMs, bound / 2 + (random() * bound) / 2))
      try {
        await sleep(milliseconds, signal)
      } finally {
        signal?.throwIfAborted()
      }
    },

    async repeat(send, signal, mayRepeat = () => true) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await send()
        } catch (error) {
          signal?.throwIfAborted()
          if (attempt >= attempts || !WorkspaceError.is(error) || !error.retryable || !mayRepeat(error))
            throw error
          await retries.pause(attempt, signal, Number(error.details['retryAfterMs'] ?? 0))
        }
      }
    },
  }
  return retries
}

async function wait(milliseconds: number, signal?: AbortSignal): Promise<void> {
  // What is longer, a timer takes for no pause at all.
  await delay(Math.min(milliseconds, MAX_TIMER_MS), undefined, signal === undefined ? {} : { signal })
}
