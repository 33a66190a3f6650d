import { faultyStore, objectStoreChecks, runCheck } from '@ws/conformance'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import {
  WorkspaceError,
  reliableStore,
  withConcurrencyLimit,
  withRetry,
  withTimeout,
  type ObjectStore,
} from '../../src/index.ts'

const bytes = Buffer.from('x')
const quick = { random: () => 0.5, sleep: async () => undefined }
const never = new Promise<never>(() => {})
const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

function down(details = {}): WorkspaceError {
  return new WorkspaceError('UNAVAILABLE', 'The service is down.', { details })
}

const wrapped: Record<string, () => ObjectStore> = {
  withTimeout: () => withTimeout(memoryStore()),
  'withConcurrencyLimit to one call': () => withConcurrencyLimit(memoryStore(), { maxCalls: 1 }),
  reliableStore: () => reliableStore(memoryStore()),
}
describe.each(Object.entries(wrapped))('%s keeps the contract', (_, open) => {
  for (const check of objectStoreChecks) it(check.name, () => runCheck(check, open()))
})

describe('the budget of repetitions', () => {
  it('lets an outage cost little more than one attempt for each call', async () => {
    let attempts = 0
    const store = withRetry(
      faultyStore(memoryStore(), () => {
        attempts += 1
        throw down()
      }),
      { ...quick, attempts: 5 },
    )
    for (let call = 0; call < 1_000; call += 1) await store.head('a').catch(() => undefined)
    expect(attempts).toBe(1_100)
  })

  it('fills up again as calls succeed', async () => {
    let isDown = true
    let attempts = 0
    const store = withRetry(
      faultyStore(memoryStore(), ({ moment }) => {
        if (moment === 'result') return
        attempts += 1
        if (isDown) throw down()
      }),
      { ...quick, attempts: 2, budgetTokens: 10 },
    )
    const attemptsOf = async (): Promise<number> => {
      attempts = 0
      await store.head('a').catch(() => undefined)
      return attempts
    }
    expect([await attemptsOf(), await attemptsOf(), await attemptsOf()]).toEqual([2, 2, 1])
    isDown = false
    for (let call = 0; call < 5; call += 1) await store.head('a')
    isDown = true
    expect([await attemptsOf(), await attemptsOf()]).toEqual([2, 1])
  })

  it('is one for all wrappers of a store', async () => {
    let attempts = 0
    const inner = faultyStore(memoryStore(), () => {
      attempts += 1
      throw down()
    })
    for (let call = 0; call < 200; call += 1)
      await withRetry(inner, quick)
        .head('a')
        .catch(() => undefined)
    expect(attempts).toBe(300)
  })
})

describe('what the service asks for', () => {
  it('is waited for, also when it is longer than the pause would be', async () => {
    const pauses: number[] = []
    let calls = 0
    const inner = faultyStore(memoryStore(), ({ moment }) => {
      if (moment === 'before' && ++calls === 1) throw down({ retryAfterMs: 7_000 })
    })
    const store = withRetry(inner, { ...quick, sleep: async (ms) => void pauses.push(ms) })
    expect(await store.head('a')).toBeNull()
    expect(pauses).toEqual([7_000])
  })

  it('is not waited for when it is longer than the time that is left', async () => {
    const store = withRetry(
      faultyStore(memoryStore(), () => {
        throw down({ retryAfterMs: 61_000 })
      }),
      quick,
    )
    await expect(store.head('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

/** A clock on which nothing happens but what a test lets happen. */
function manualClock() {
  const timers = new Map<() => void, number>()
  return {
    limits: [] as number[],
    schedule(milliseconds: number, callback: () => void) {
      this.limits.push(milliseconds)
      timers.set(callback, milliseconds)
      return () => void timers.delete(callback)
    },
    get waiting() {
      return timers.size
    },
    expire() {
      for (const callback of timers.keys()) callback()
    },
  }
}

describe('withTimeout', () => {
  const silent = (method: 'get' | 'head' | 'put' | 'delete' | 'list'): ObjectStore =>
    faultyStore(memoryStore(), (call) => (call.method === method ? never : undefined))
  const calls = {
    get: (store: ObjectStore) => store.get('a'),
    head: (store: ObjectStore) => store.head('a'),
    put: (store: ObjectStore) => store.put('a', bytes),
    delete: (store: ObjectStore) => store.delete('a'),
    list: async (store: ObjectStore) => {
      for await (const _ of store.list(''));
    },
  }
  it.each(Object.entries(calls))(
    'gives up on a %s that is never answered, and leaves no timer',
    async (method, call) => {
      const clock = manualClock()
      const store = withTimeout(silent(method as keyof typeof calls), {
        schedule: (ms, go) => clock.schedule(ms, go),
      })
      const outcome = expect(call(store)).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true })
      await turns()
      clock.expire()
      await outcome
      expect(clock.waiting).toBe(0)
    },
  )

  it('aborts the request that it gives up on', async () => {
    const clock = manualClock()
    let seen: AbortSignal | undefined
    const inner: ObjectStore = {
      ...memoryStore(),
      head: (_, options) => {
        seen = options?.signal
        return never
      },
    }
    const outcome = withTimeout(inner, { schedule: (ms, go) => clock.schedule(ms, go) }).head('a')
    clock.expire()
    await expect(outcome).rejects.toMatchObject({ code: 'TIMEOUT' })
    expect(seen?.aborted).toBe(true)
  })

  it('gives up on a body that stops coming, but not on a reader that takes its time', async () => {
    const clock = manualClock()
    const inner = memoryStore()
    await inner.put('a', Buffer.alloc(3_000_000))
    let items = 0
    const stopping = faultyStore(inner, ({ method, moment }) =>
      method === 'get' && moment === 'result' && ++items === 2 ? never : undefined,
    )
    const store = withTimeout(stopping, { schedule: (ms, go) => clock.schedule(ms, go) })
    const chunks = (await store.get('a'))?.body[Symbol.asyncIterator]() ?? expect.fail()
    await chunks.next()
    expect(clock.waiting).toBe(0)
    const second = expect(chunks.next()).rejects.toMatchObject({ code: 'TIMEOUT' })
    await turns()
    clock.expire()
    await second
  })

  it('gives a put time for what it has taken, and none for its own slow source', async () => {
    const clock = manualClock()
    const schedule = (ms: number, go: () => void) => clock.schedule(ms, go)
    const store = withTimeout(memoryStore(), { schedule, idleTimeoutMs: 1_000, minBytesPerSecond: 1_000 })
    await store.put('a', Buffer.alloc(5_000))
    expect(clock.limits[0]).toBe(6_000)
    let next: () => void = () => undefined
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(100)
      await new Promise<void>((resolve) => (next = resolve))
      yield Buffer.alloc(100)
    }
    const put = store.put('b', slow())
    await turns()
    expect(clock.waiting).toBe(0)
    next()
    expect((await put).size).toBe(200)
    expect(clock.waiting).toBe(0)
  })
})

describe('withConcurrencyLimit', () => {
  it('lets no more calls wait at a time, and all in the end', async () => {
    let now = 0
    let most = 0
    const inner: ObjectStore = {
      ...memoryStore(),
      head: async () => {
        now += 1
        most = Math.max(most, now)
        await turns(2)
        now -= 1
        return null
      },
    }
    const store = withConcurrencyLimit(inner, { maxCalls: 3 })
    await Promise.all(Array.from({ length: 20 }, () => store.head('a')))
    expect(most).toBe(3)
  })

  it('cannot wait for itself: a reader deletes what it lists, and an object is copied inside the store', async () => {
    const store = withConcurrencyLimit(memoryStore(), { maxCalls: 1 })
    await store.put('a', Buffer.alloc(3_000_000))
    const found = await store.get('a')
    await store.put('b', found?.body ?? expect.fail())
    for await (const { key } of store.list('')) await store.delete(key)
    expect(await store.head('b')).toBeNull()
  })

  it('a queued call leaves when its signal aborts, and puts that fail give their place back', async () => {
    let release: () => void = () => undefined
    const inner: ObjectStore = {
      ...memoryStore(),
      head: () => new Promise((resolve) => (release = () => resolve(null))),
    }
    const store = withConcurrencyLimit(inner, { maxCalls: 1 })
    const first = store.head('a')
    const reason = new Error('enough')
    const controller = new AbortController()
    const queued = expect(store.get('b', { signal: controller.signal })).rejects.toBe(reason)
    controller.abort(reason)
    await queued
    release()
    await first
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield bytes
      throw reason
    }
    for (let count = 0; count < 3; count += 1) await expect(store.put('c', failing())).rejects.toBe(reason)
    await store.put('c', bytes)
  })
})

it('a store that is reliable already is not wrapped again', () => {
  const store = reliableStore(memoryStore())
  expect(reliableStore(store)).toBe(store)
})
