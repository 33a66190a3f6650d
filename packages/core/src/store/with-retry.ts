import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { setTimeout as delay } from 'node:timers/promises'
import { WorkspaceError } from '../errors.ts'
import { isAmount, isFunction, isPositive } from '../option-checks.ts'
import { assertStore } from './assert-store.ts'
import type { GetOptions, ObjectBody, ObjectStore, PutOptions, StoredObject } from './object-store.ts'
import { nextOf, resumable } from './resume-body.ts'
import { retryBudgetOf, type RetryBudget } from './retry-budget.ts'
import { innerSignedUrl, wrapStore } from './wrap-store.ts'

export interface RetryOptions {
  /** How often one call is tried in all. @default 5 */
  readonly attempts?: number | undefined
  /** Upper bound of the first pause; each further bound is twice the one before. @default 100 */
  readonly firstDelayMs?: number | undefined
  /** No pause is longer than this. @default 10_000 */
  readonly maxDelayMs?: number | undefined
  /** No new attempt begins after this time since the call, or since a stream last delivered. @default 60_000 */
  readonly totalTimeoutMs?: number | undefined
  /**
   * Tokens that all calls of the store share: a repetition costs 5, after a timeout 10; a success gives back. When they
   * are used up, as in an outage, calls fail at their first error. @default 500
   */
  readonly budgetTokens?: number | undefined
  /** Told before each pause. @default nobody */
  readonly onRetry?: ((retry: RetryNotice) => void) | undefined
  /** A number from 0 up to 1. @default Math.random */
  readonly random?: (() => number) | undefined
  /** Milliseconds of a clock that never goes back. @default performance.now */
  readonly now?: (() => number) | undefined
  /** Must reject when the signal aborts. @default a timer */
  readonly sleep?: ((milliseconds: number, signal?: AbortSignal) => Promise<void>) | undefined
}

const retryOptionNames: OptionNames<RetryOptions> = {
  attempts: isPositive,
  firstDelayMs: isAmount,
  maxDelayMs: isAmount,
  totalTimeoutMs: isAmount,
  budgetTokens: isAmount,
  onRetry: isFunction,
  random: isFunction,
  now: isFunction,
  sleep: isFunction,
}

export interface RetryNotice {
  readonly method: 'get' | 'head' | 'put' | 'delete' | 'list' | 'signedUrl'
  readonly key: string
  /** The attempt that failed, from 1. */
  readonly attempt: number
  readonly delayMs: number
  readonly error: WorkspaceError
}

/**
 * Repeats calls that failed with a retryable error (`WorkspaceError.retryable`), and only when repeating is right:
 *
 * - `get`, `head`, `delete`, `signedUrl`: always. A body that breaks off midway goes on with a range read where the
 *   store has them and the object's etag is still the same; a changed object rejects with `CONFLICT`. What came in pieces is
 *   compared with the object's checksum where the store knows it (`StoredObject.checksum`).
 * - `list`: goes on after the last key that was given out.
 * - `put` of a `Uint8Array`: yes. `put` of a stream: only if nothing of it was read yet, because a source is read once.
 * - `put` with `ifAbsent` or `ifMatch`: after `UNAVAILABLE` and `TIMEOUT` only if its stream was not read yet. Such an
 *   error leaves open whether the put was applied; repeating it would report the caller's own success as `CONFLICT`.
 *   Only the caller can tell its content from another writer's: read the key back and compare.
 *
 * Pauses are a random share of an exponentially growing bound ("full jitter", from the AWS Architecture Blog,
 * "Exponential Backoff And Jitter", 2015), and no shorter than what the service asks for (`details.retryAfterMs`). The last
 * error comes out unchanged. An abort ends a pause at once. Callers of one store share a budget of repetitions, so that
 * an outage does not multiply the load.
 */
export function withRetry(store: ObjectStore, options: RetryOptions = {}): ObjectStore {
  assertStore('withRetry', store)
  assertKnownOptions('withRetry', options, retryOptionNames)
  const startRetrying = retryPolicy(options, retryBudgetOf(store, options.budgetTokens ?? 500))
  const repeat = async <T>(
    method: RetryNotice['method'],
    key: string,
    signal: AbortSignal | undefined,
    call: () => Promise<T>,
    mayRepeat: (error: WorkspaceError) => boolean = () => true,
  ): Promise<T> => {
    const retries = startRetrying(method, key, signal)
    for (;;) {
      try {
        const result = await call()
        retries.succeed()
        return result
      } catch (error) {
        if (!WorkspaceError.is(error) || !mayRepeat(error)) throw error
        await retries.pauseAfter(error)
      }
    }
  }

  return wrapStore(store, {
    name: store.name,
    capabilities: store.capabilities,
    async get(key, getOptions = {}) {
      const open = (range: GetOptions['range']): Promise<StoredObject | null> =>
        repeat('get', key, getOptions.signal, () => store.get(key, { ...getOptions, range }))
      const found = await open(getOptions.range)
      if (found === null || !store.capabilities.rangeReads) return found
      const retries = startRetrying('get', key, getOptions.signal)
      const { signal } = getOptions
      const look = () => repeat('head', key, signal, () => store.head(key, { signal }))
      return resumable(found, getOptions.range, { open, look }, retries)
    },
    head: (key, callOptions) => repeat('head', key, callOptions?.signal, () => store.head(key, callOptions)),
    put(key, body, putOptions = {}) {
      const source = observeBody(body)
      return repeat(
        'put',
        key,
        putOptions.signal,
        () => store.put(key, source.body, putOptions),
        (error) => mayRepeatPut(error, source.state(), putOptions),
      )
    },
    delete: (key, callOptions) =>
      repeat('delete', key, callOptions?.signal, () => store.delete(key, callOptions)),
    async *list(prefix, listOptions = {}) {
      let { startAfter } = listOptions
      const retries = startRetrying('list', prefix, listOptions.signal)
      for (;;) {
        const objects = store.list(prefix, { ...listOptions, startAfter })[Symbol.asyncIterator]()
        try {
          for (;;) {
            const next = await nextOf(objects)
            if (!('failure' in next)) {
              if (next.done) return retries.succeed()
              retries.progress()
              startAfter = next.value.key
              yield next.value
              continue
            }
            await retries.pauseAfter(next.failure)
            break
          }
        } finally {
          await objects.return?.()
        }
      }
    },
    signedUrl: (key, signOptions) =>
      repeat('signedUrl', key, signOptions.signal, () => innerSignedUrl(store)(key, signOptions)),
  })
}

interface Retries {
  /** Waits until the next attempt may begin; throws the error itself when there is none. */
  pauseAfter(error: unknown): Promise<void>
  /** Something was delivered: counts start anew. */
  progress(): void
  succeed(): void
}

type RetryPolicy = (method: RetryNotice['method'], key: string, signal: AbortSignal | undefined) => Retries

function retryPolicy(options: RetryOptions, budget: RetryBudget): RetryPolicy {
  const { attempts = 5, firstDelayMs = 100, maxDelayMs = 10_000, totalTimeoutMs = 60_000 } = options
  const { random = Math.random, now = () => performance.now(), onRetry } = options
  const sleep =
    options.sleep ??
    (async (milliseconds: number, signal?: AbortSignal) => {
      await delay(milliseconds, undefined, signal === undefined ? {} : { signal })
    })
  return (method, key, signal) => {
    let attempt = 1
    let startedAt = now()
    let paidFor: WorkspaceError | null = null
    const refund = (): void => {
      if (paidFor !== null) budget.give(paidFor)
      paidFor = null
    }
    return {
      progress() {
        attempt = 1
        startedAt = now()
        refund()
      },
      succeed() {
        if (paidFor === null) budget.give(null)
        refund()
      },
      async pauseAfter(error) {
        signal?.throwIfAborted()
        if (!WorkspaceError.is(error) || !error.retryable || attempt >= attempts) throw error
        const backoffMs = random() * Math.min(maxDelayMs, firstDelayMs * 2 ** (attempt - 1))
        const delayMs = Math.max(backoffMs, askedDelayMs(error))
        if (now() - startedAt + delayMs > totalTimeoutMs || !budget.take(error)) throw error
        paidFor = error
        onRetry?.({ method, key, attempt, delayMs, error })
        attempt += 1
        try {
          await sleep(delayMs, signal)
        } finally {
          signal?.throwIfAborted()
        }
      },
    }
  }
}

/** How long the service asks to wait: adapters put its `Retry-After` into the details. */
function askedDelayMs(error: WorkspaceError): number {
  const asked = error.details['retryAfterMs']
  return typeof asked === 'number' && asked > 0 ? asked : 0
}

function mayRepeatPut(
  error: WorkspaceError,
  state: 'whole' | 'untouched' | 'touched',
  options: PutOptions,
): boolean {
  if (state === 'touched') return false
  // A store cannot have applied a put whose body it did not read.
  if (state === 'untouched') return true
  const isConditional = options.ifAbsent === true || options.ifMatch !== undefined
  const mayBeApplied = error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT'
  return !(isConditional && mayBeApplied)
}

function observeBody(body: ObjectBody): {
  body: ObjectBody
  state: () => 'whole' | 'untouched' | 'touched'
} {
  if (body instanceof Uint8Array) return { body, state: () => 'whole' }
  let isTouched = false
  const observed: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]() {
      isTouched = true
      return body[Symbol.asyncIterator]()
    },
  }
  return { body: observed, state: () => (isTouched ? 'touched' : 'untouched') }
}
