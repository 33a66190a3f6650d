import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { isPositive } from '../option-checks.ts'
import { assertStore } from './assert-store.ts'
import type { ObjectBody, ObjectStore } from './object-store.ts'
import { pullingWith, stepwise } from './stepwise.ts'
import { innerSignedUrl, wrapStore } from './wrap-store.ts'

export interface ConcurrencyLimitOptions {
  /** How many calls may wait for the store at the same time. @default 32 */
  readonly maxCalls?: number | undefined
}

const concurrencyLimitOptionNames: OptionNames<ConcurrencyLimitOptions> = { maxCalls: isPositive }

/**
 * No more than `maxCalls` calls wait for the store at the same time; others queue in their order. A body or a list counts
 * while its next piece is waited for, and a put does not count while it waits for its own source: so a reader that
 * deletes what it lists, or a copy inside one store, cannot wait for itself. A queued call leaves the queue when its
 * signal aborts.
 */
export function withConcurrencyLimit(store: ObjectStore, options: ConcurrencyLimitOptions = {}): ObjectStore {
  assertStore('withConcurrencyLimit', store)
  assertKnownOptions('withConcurrencyLimit', options, concurrencyLimitOptionNames)
  const gate = createGate(options.maxCalls ?? 32)
  const limited = async <T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> => {
    await gate.enter(signal)
    try {
      return await call()
    } finally {
      gate.leave()
    }
  }
  return wrapStore(store, {
    name: store.name,
    capabilities: store.capabilities,
    async get(key, given) {
      const found = await limited(given?.signal, () => store.get(key, given))
      if (found === null) return null
      const body = stepwise(found.body, (step) => limited(given?.signal, step))
      return { info: found.info, body, checksum: found.checksum, discard: () => found.discard() }
    },
    head: (key, given) => limited(given?.signal, () => store.head(key, given)),
    async put(key, body, given) {
      const place = await takePlace(gate, given?.signal)
      try {
        return await store.put(key, outside(body, place), given)
      } finally {
        place.end()
      }
    },
    delete: (key, given) => limited(given?.signal, () => store.delete(key, given)),
    list: (prefix, given) => stepwise(store.list(prefix, given), (step) => limited(given?.signal, step)),
    signedUrl: (key, given) => limited(given.signal, () => innerSignedUrl(store)(key, given)),
  })
}

/** One put's place in the gate, which it may leave and take again until it ends. */
interface Place {
  enter(): Promise<void>
  leave(): void
  end(): void
}

async function takePlace(gate: Gate, signal: AbortSignal | undefined): Promise<Place> {
  await gate.enter(signal)
  let isHeld = true
  let isOver = false
  const place: Place = {
    async enter() {
      if (isOver) return
      await gate.enter(signal)
      isHeld = true
      if (isOver) place.leave()
    },
    leave() {
      if (isHeld) gate.leave()
      isHeld = false
    },
    end() {
      isOver = true
      place.leave()
    },
  }
  return place
}

interface Gate {
  enter(signal: AbortSignal | undefined): Promise<void>
  leave(): void
}

function createGate(width: number): Gate {
  let free = width
  const waiting = new Set<() => void>()
  return {
    enter(signal) {
      signal?.throwIfAborted()
      if (free > 0) {
        free -= 1
        return Promise.resolve()
      }
      return new Promise((resolve, reject) => {
        const abort = (): void => {
          waiting.delete(start)
          reject(signal?.reason)
        }
        const start = (): void => {
          signal?.removeEventListener('abort', abort)
          resolve()
        }
        waiting.add(start)
        signal?.addEventListener('abort', abort, { once: true })
      })
    },
    leave() {
      const [next] = waiting
      if (next === undefined) free += 1
      else {
        waiting.delete(next)
        next()
      }
    },
  }
}

/** Leaves the gate while the source is waited for, until the put is over. */
function outside(body: ObjectBody, place: Place): ObjectBody {
  if (body instanceof Uint8Array) return body
  return pullingWith(body, async (pull) => {
    place.leave()
    const next = await pull()
    await place.enter()
    return next
  })
}
