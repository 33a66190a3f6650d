import type { ObjectInfo, ObjectStore, PutOptions } from '@ws/core'
import { compareKeys, conditionFailed } from '@ws/core'

/** Numbers from a seed (mulberry32), so that a schedule can be played again. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Many times what any schedule takes: what goes on longer goes round in a circle. */
const MAX_STEPS = 100_000

export interface Simulation {
  readonly store: ObjectStore
  readonly now: () => number
  /** Waits until the schedule goes on with this actor; any time may pass. */
  readonly idle: () => Promise<void>
  /** Lets everything that was started run to its end, one step at a time in random order. */
  readonly run: () => Promise<void>
  readonly advance: (milliseconds: number) => void
  /** The keys that are really there, whatever listings show. */
  readonly keys: (prefix: string) => readonly string[]
  readonly content: (key: string) => Uint8Array | null
}

export interface SimulationOptions {
  readonly random: () => number
  /** How far listings may be behind. */
  readonly listDelayMs: number
  /** How long a call may be under way. */
  readonly maxCallMs: number
  /** The longest jump of the clock while no call is under way. */
  readonly maxJumpMs: number
  /** Called before a change is made. */
  readonly onChange: (change: {
    readonly key: string
    readonly body: Uint8Array | null
    readonly isCreate: boolean
  }) => void
}

interface Event {
  readonly at: number
  readonly body: Uint8Array | null
  readonly info: ObjectInfo
}

interface Waiting {
  readonly since: number
  readonly isCall: boolean
  readonly resume: () => void
}

/**
 * A store whose every call waits for the schedule twice, before and after it takes effect; with a clock that only the
 * schedule moves, and listings in which each object is as it was at some moment within the delay.
 */
export function simulate(options: SimulationOptions): Simulation {
  const { random, listDelayMs, maxCallMs, maxJumpMs, onChange } = options
  const history = new Map<string, Event[]>()
  const waiting: Waiting[] = []
  let clock = Date.UTC(2030, 0, 1)
  let generation = 0

  const turn = (isCall: boolean): Promise<void> =>
    new Promise((resume) => waiting.push({ since: clock, isCall, resume }))
  const at = (key: string, time: number): Event | undefined => {
    const event = history.get(key)?.findLast((candidate) => candidate.at <= time)
    return event?.body === null ? undefined : event
  }
  const change = (key: string, body: Uint8Array | null, isCreate: boolean): ObjectInfo => {
    onChange({ key, body, isCreate })
    generation += 1
    const info = {
      key,
      size: body?.length ?? 0,
      etag: String(generation),
      modifiedAt: new Date(clock),
      metadata: {},
    }
    const events = history.get(key) ?? []
    history.set(key, events)
    events.push({ at: clock, body, info })
    return info
  }
  const call = async <T>(effect: () => T): Promise<T> => {
    await turn(true)
    const result = effect()
    await turn(true)
    return result
  }

  const store: ObjectStore = {
    name: 'simulated',
    capabilities: {
      createIfAbsent: 'atomic',
      replaceIfMatch: false,
      rangeReads: false,
      metadata: false,
      signedUrls: false,
    },
    get: (key) =>
      call(() => {
        const found = at(key, clock)
        if (found === undefined || found.body === null) return null
        return { info: found.info, body: once(found.body), discard: async () => undefined }
      }),
    head: (key) => call(() => at(key, clock)?.info ?? null),
    put: (key, body, { ifAbsent = false }: PutOptions = {}) =>
      call(() => {
        if (!(body instanceof Uint8Array)) throw new TypeError('The simulated store takes arrays only.')
        if (ifAbsent && at(key, clock) !== undefined) throw conditionFailed(key, 'ifAbsent')
        return change(key, body, ifAbsent)
      }),
    delete: (key) =>
      call(() => {
        if (at(key, clock) !== undefined) change(key, null, false)
      }),
    async *list(prefix, { startAfter = '' } = {}) {
      const shown = await call(() =>
        [...history.keys()]
          .filter((key) => key.startsWith(prefix) && compareKeys(key, startAfter) > 0)
          .sort(compareKeys)
          .map((key) => at(key, clock - Math.floor(random() * (listDelayMs + 1))))
          .filter((event) => event !== undefined),
      )
      for (const { info } of shown) yield info
    },
  }

  const step = (isDraining: boolean): boolean => {
    const calls = waiting.filter(({ isCall }) => isCall)
    if (calls.length === 0 && isDraining) clock += Math.floor(random() * maxJumpMs)
    else if (random() < 0.2) {
      const budget = Math.min(...calls.map(({ since }) => since + maxCallMs - clock), maxCallMs)
      clock += Math.floor(random() * budget)
    }
    const candidates = isDraining && calls.length > 0 ? calls : waiting
    const next = candidates[Math.floor(random() * candidates.length)]
    if (next === undefined) return isDraining
    waiting.splice(waiting.indexOf(next), 1)
    next.resume()
    return isDraining ? calls.length > 0 : random() < 0.08
  }

  return {
    store,
    now: () => clock,
    idle: () => turn(false),
    async run() {
      let isDraining = false
      for (let steps = 0; ; steps += 1) {
        if (steps === MAX_STEPS) throw new Error('The schedule comes to no end.')
        // Everything that the last step set going has reached its next call by then.
        await new Promise((resolve) => setImmediate(resolve))
        if (waiting.length === 0) return
        isDraining = step(isDraining)
      }
    },
    advance: (milliseconds) => {
      clock += milliseconds
    },
    keys: (prefix) =>
      [...history.keys()].filter((key) => key.startsWith(prefix) && at(key, clock) !== undefined),
    content: (key) => at(key, clock)?.body ?? null,
  }
}

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body
}
