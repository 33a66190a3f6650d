import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { WorkspaceError } from '../errors.ts'
import { isAmount, isFunction } from '../option-checks.ts'
import { setLongTimer } from '../set-long-timer.ts'
import { assertStore } from './assert-store.ts'
import type { ObjectBody, ObjectStore, PutOptions } from './object-store.ts'
import { pullingWith, stepwise } from './stepwise.ts'
import { unlessAborted } from './unless-aborted.ts'
import { innerSignedUrl, wrapStore } from './wrap-store.ts'

export interface TimeoutOptions {
  /** `get` until its body begins, `head`, `delete`, and each step of a list. @default 30_000 */
  readonly callTimeoutMs?: number | undefined
  /** The longest silence while a body is received or sent. @default 30_000 */
  readonly idleTimeoutMs?: number | undefined
  /**
   * Bytes that were taken from the source of a put, and that the store has not reported as sent, are expected to go at
   * least so fast; a store that reports late gets that much more time. @default 65_536
   */
  readonly minBytesPerSecond?: number | undefined
  /** Calls back once after so many milliseconds; gives a function that cancels it. @default setTimeout */
  readonly schedule?: ((milliseconds: number, callback: () => void) => () => void) | undefined
}

const timeoutOptionNames: OptionNames<TimeoutOptions> = {
  callTimeoutMs: isAmount,
  idleTimeoutMs: isAmount,
  minBytesPerSecond: isAmount,
  schedule: isFunction,
}

/**
 * Gives up on a service that has stopped answering: the call rejects with `TIMEOUT`, and its request is aborted. Time
 * that a put waits for its own source does not count. A put that timed out may have been applied.
 */
export function withTimeout(store: ObjectStore, options: TimeoutOptions = {}): ObjectStore {
  assertStore('withTimeout', store)
  assertKnownOptions('withTimeout', options, timeoutOptionNames)
  const { callTimeoutMs = 30_000, idleTimeoutMs = 30_000, minBytesPerSecond = 65_536 } = options
  const { schedule = (milliseconds, callback) => setLongTimer(callback, milliseconds) } = options

  const open = (key: string, signal: AbortSignal | undefined): Session =>
    openSession(signal, schedule, (what, waitedMs) => timeout(store, what, key, waitedMs))

  return wrapStore(store, {
    name: store.name,
    capabilities: store.capabilities,
    async get(key, given = {}) {
      const session = open(key, given.signal)
      const { signal } = session
      const found = await session.within('get', callTimeoutMs, () => store.get(key, { ...given, signal }))
      if (found === null) return null
      const body = stepwise(found.body, (step) => session.within('read', idleTimeoutMs, step))
      return { info: found.info, body, checksum: found.checksum, discard: () => found.discard() }
    },
    head(key, given = {}) {
      const session = open(key, given.signal)
      const { signal } = session
      return session.within('head', callTimeoutMs, () => store.head(key, { ...given, signal }))
    },
    delete(key, given = {}) {
      const session = open(key, given.signal)
      const { signal } = session
      return session.within('delete', callTimeoutMs, () => store.delete(key, { ...given, signal }))
    },
    put(key, body, given = {}) {
      const session = open(key, given.signal)
      const { signal } = session
      const sending = watchSending(body, given, {
        onAlive: (unsentBytes) => session.extend(idleTimeoutMs + (unsentBytes / minBytesPerSecond) * 1_000),
        onWaiting: () => session.pause(),
      })
      return session.within('put', idleTimeoutMs + (sending.unsentBytes / minBytesPerSecond) * 1_000, () =>
        store.put(key, sending.body, { ...given, signal, onProgress: sending.onProgress }),
      )
    },
    list(prefix, given = {}) {
      const session = open(prefix, given.signal)
      const { signal } = session
      const objects = store.list(prefix, { ...given, signal })
      return stepwise(objects, (step) => session.within('list', callTimeoutMs, step))
    },
    signedUrl(key, given) {
      const session = open(key, given.signal)
      const { signal } = session
      return session.within('sign a URL for', callTimeoutMs, () =>
        innerSignedUrl(store)(key, { ...given, signal }),
      )
    },
  })
}

/** One call, or the steps of one body or list, with a signal that aborts with the caller's or when time is up. */
interface Session {
  readonly signal: AbortSignal
  within<T>(what: string, limitMs: number, call: () => Promise<T>): Promise<T>
  /** The running call gets so much time from now. */
  extend(limitMs: number): void
  /** The running call's time stands still until it is extended. */
  pause(): void
}

function openSession(
  callerSignal: AbortSignal | undefined,
  schedule: NonNullable<TimeoutOptions['schedule']>,
  toError: (what: string, waitedMs: number) => WorkspaceError,
): Session {
  const expired = new AbortController()
  const signal = callerSignal === undefined ? expired.signal : AbortSignal.any([callerSignal, expired.signal])
  let what = ''
  let isRunning = false
  let cancel: () => void = () => undefined
  const session: Session = {
    signal,
    async within(named, limitMs, call) {
      signal.throwIfAborted()
      what = named
      isRunning = true
      session.extend(limitMs)
      try {
        return await unlessAborted(call(), signal)
      } finally {
        isRunning = false
        cancel()
      }
    },
    extend(limitMs) {
      cancel()
      if (isRunning) cancel = schedule(limitMs, () => expired.abort(toError(what, limitMs)))
    },
    pause() {
      cancel()
    },
  }
  return session
}

interface Sending {
  readonly body: ObjectBody
  readonly onProgress: (bytes: number) => void
  /** At the beginning. */
  readonly unsentBytes: number
}

function watchSending(
  body: ObjectBody,
  { onProgress }: PutOptions,
  on: { readonly onAlive: (unsentBytes: number) => void; readonly onWaiting: () => void },
): Sending {
  let taken = body instanceof Uint8Array ? body.length : 0
  let reported = 0
  const alive = (): void => on.onAlive(Math.max(0, taken - reported))
  const watched: ObjectBody =
    body instanceof Uint8Array
      ? body
      : pullingWith(body, async (pull) => {
          on.onWaiting()
          try {
            const next = await pull()
            // Whoever reads the body refuses what is no bytes.
            if (next.done !== true && next.value instanceof Uint8Array) taken += next.value.length
            return next
          } finally {
            alive()
          }
        })
  return {
    body: watched,
    unsentBytes: taken,
    onProgress(bytes) {
      reported = bytes
      alive()
      onProgress?.(bytes)
    },
  }
}

function timeout(store: ObjectStore, what: string, key: string, waitedMs: number): WorkspaceError {
  const message = `Cannot ${what} ${JSON.stringify(key)}: the ${store.name} store was silent for ${Math.round(waitedMs)} ms. Try again later.`
  return new WorkspaceError('TIMEOUT', message, { details: { key, waitedMs } })
}
