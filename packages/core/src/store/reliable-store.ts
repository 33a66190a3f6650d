import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { isObject } from '../option-checks.ts'
import { assertStore } from './assert-store.ts'
import type { ObjectStore } from './object-store.ts'
import { withConcurrencyLimit, type ConcurrencyLimitOptions } from './with-concurrency-limit.ts'
import { withRetry, type RetryOptions } from './with-retry.ts'
import { isReliable, markReliable } from './wrap-store.ts'
import { withTimeout, type TimeoutOptions } from './with-timeout.ts'

export interface ReliableStoreOptions {
  /** @default those of `withRetry` */
  readonly retry?: RetryOptions | undefined
  /** @default those of `withTimeout` */
  readonly timeout?: TimeoutOptions | undefined
  /** @default those of `withConcurrencyLimit` */
  readonly concurrency?: ConcurrencyLimitOptions | undefined
}

const reliableStoreOptionNames: OptionNames<ReliableStoreOptions> = {
  retry: isObject,
  timeout: isObject,
  concurrency: isObject,
}

/**
 * A store on a network with everything that calls over a network need: a limit of calls at a time, a timeout on each, and
 * repetition of what failed where repeating is right. A store that is one already, or a wrapper around one, is given back
 * as it is, so that repetitions never multiply. For the same reason the SDK's client below should repeat nothing itself;
 * `openStore` sees to that.
 */
export function reliableStore(store: ObjectStore, options: ReliableStoreOptions = {}): ObjectStore {
  assertStore('reliableStore', store)
  assertKnownOptions('reliableStore', options, reliableStoreOptionNames)
  if (isReliable(store)) return store
  const limited = withConcurrencyLimit(store, options.concurrency)
  const wrapped = withRetry(withTimeout(limited, options.timeout), options.retry)
  markReliable(wrapped)
  return wrapped
}

/** What the engine makes of a store that it is given: one on a network is made reliable, unless that is turned off. */
export function reliableIfRemote(
  store: ObjectStore,
  reliability?: ReliableStoreOptions | false,
): ObjectStore {
  return store.capabilities.remote === true && reliability !== false
    ? reliableStore(store, reliability)
    : store
}
