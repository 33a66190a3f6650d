import { faultyStore, type StoreCall } from '@ws/conformance'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import { bindStore } from '../../src/store/bind-store.ts'
import {
  WorkspaceError,
  bodyChecksum,
  withConcurrencyLimit,
  withPrefix,
  withRetry,
  withTimeout,
  type ErrorCode,
  type ObjectStore,
} from '../../src/index.ts'

const pauses: number[] = []
const quick = { random: () => 0.5, sleep: async (ms: number) => void pauses.push(ms) }

function failing(code: ErrorCode, when: (call: StoreCall) => boolean, store = memoryStore()): ObjectStore {
  return faultyStore(store, (call) => {
    if (when(call)) throw new WorkspaceError(code, 'The service is down.')
  })
}

it('pauses a random share of a bound that doubles up to its limit, and gives up with the last error', async () => {
  pauses.length = 0
  const store = withRetry(
    failing('UNAVAILABLE', () => true),
    { ...quick, attempts: 6, firstDelayMs: 100, maxDelayMs: 500 },
  )
  await expect(store.head('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(pauses).toEqual([50, 100, 200, 250, 250])
})

it('begins no attempt after the time budget', async () => {
  pauses.length = 0
  let time = 0
  const inner = faultyStore(memoryStore(), () => {
    time += 400
    throw new WorkspaceError('TIMEOUT', 'No answer.')
  })
  const store = withRetry(inner, { ...quick, now: () => time, totalTimeoutMs: 1_000, attempts: 100 })
  await expect(store.head('a')).rejects.toMatchObject({ code: 'TIMEOUT' })
  expect(pauses.length).toBe(2)
})

it('repeats nothing that is not retryable', async () => {
  let calls = 0
  const store = withRetry(
    failing('ACCESS_DENIED', () => ++calls > 0),
    quick,
  )
  await expect(store.head('a')).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
  expect(calls).toBe(1)
})

it('ends a pause at once when the signal aborts', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const store = withRetry(
    failing('UNAVAILABLE', () => true),
    {
      firstDelayMs: 100_000,
      maxDelayMs: 100_000,
      totalTimeoutMs: 1_000_000,
      random: () => 0.99,
      onRetry: () => setImmediate(() => controller.abort(reason)),
    },
  )
  await expect(store.head('a', { signal: controller.signal })).rejects.toBe(reason)
})

it('repeats a put of an array, and of a stream that was not read yet, but never of one that was', async () => {
  const memory = memoryStore()
  const afterwards = withRetry(
    failing('UNAVAILABLE', ({ count, moment }) => moment === 'result' && count === 1, memory),
    quick,
  )
  await afterwards.put('array', Buffer.from('x'))
  expect((await memory.head('array'))?.size).toBe(1)

  async function* stream(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('xy')
  }
  const before = withRetry(
    failing('UNAVAILABLE', ({ count, moment }) => moment === 'before' && count < 3, memory),
    quick,
  )
  await before.put('stream', stream(), { ifAbsent: true })
  expect((await memory.head('stream'))?.size).toBe(2)

  const midway = withRetry(
    failing('UNAVAILABLE', ({ count, moment }) => moment === 'result' && count === 1, memory),
    quick,
  )
  await expect(midway.put('again', stream())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

it('never repeats a conditional put whose failure leaves open whether it was applied', async () => {
  for (const code of ['UNAVAILABLE', 'TIMEOUT'] as const) {
    const store = withRetry(
      failing(code, ({ moment, count }) => moment === 'result' && count === 1),
      quick,
    )
    await expect(store.put('a', Buffer.from('x'), { ifAbsent: true })).rejects.toMatchObject({ code })
  }
  const busy = withRetry(
    failing('BUSY', ({ moment, count }) => moment === 'before' && count === 1),
    quick,
  )
  await busy.put('a', Buffer.from('x'), { ifAbsent: true })
})

it('goes on with a broken body where it stopped, and rejects with CONFLICT when the object has changed', async () => {
  const bytes = Buffer.alloc(5 * 1_048_576, 'abcdefg')
  const memory = memoryStore()
  await memory.put('a', bytes)
  let items = 0
  const store = withRetry(
    failing(
      'UNAVAILABLE',
      ({ method, moment }) => method === 'get' && moment === 'result' && ++items % 3 === 0,
      memory,
    ),
    quick,
  )
  for (const range of [undefined, { start: 1_000, end: 5_000_000 }]) {
    const chunks: Uint8Array[] = []
    for await (const chunk of (await store.get('a', { range }))?.body ?? []) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(bytes.subarray(range?.start ?? 0, range?.end))).toBe(true)
  }
  expect(items).toBeGreaterThan(12)

  items = 0
  const found = await store.get('a')
  await memory.put('a', Buffer.from('other'))
  const read = async (): Promise<void> => {
    for await (const _ of found?.body ?? []);
  }
  await expect(read()).rejects.toMatchObject({ code: 'CONFLICT', cause: { code: 'UNAVAILABLE' } })
})

it('does not take a lie about the size of an object for a change of it', async () => {
  const memory = memoryStore()
  await memory.put('a', Buffer.from('short'))
  const lying: ObjectStore = {
    ...bindStore(memory),
    async get(key, options) {
      const found = await memory.get(key, options)
      if (found === null || options?.range !== undefined) return found
      async function* body(): AsyncGenerator<Uint8Array> {
        yield* found?.body ?? []
        throw new WorkspaceError('UNAVAILABLE', 'only 5 of 500 bytes came')
      }
      return { ...found, info: { ...found.info, size: 500 }, body: body() }
    },
  }
  const found = await withRetry(lying, quick).get('a')
  await expect(Array.fromAsync(found?.body ?? [])).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

describe('a body that came in pieces', () => {
  const text = 'what was put'

  /** Adapters compare at the end of a whole read only, and this one's first read breaks off before that. */
  async function breakingStore(
    delivered: string,
    seen: (chunk: Uint8Array) => Uint8Array = (chunk) => chunk,
  ): Promise<ObjectStore> {
    const memory = memoryStore()
    await memory.put('in/a', Buffer.from(text))
    return {
      ...bindStore(memory),
      async get(key, options) {
        const found = await memory.get(key, options)
        if (found === null || options?.range !== undefined) return found
        let all = ''
        const checksum = bodyChecksum(
          (chunk) => (all += Buffer.from(chunk).toString()),
          () => (all === text ? null : 'it has other letters'),
        )
        async function* body(): AsyncGenerator<Uint8Array> {
          const chunk = Buffer.from(delivered)
          checksum.update(seen(chunk))
          yield chunk
          throw new WorkspaceError('UNAVAILABLE', 'The connection was lost.')
        }
        return { ...found, body: body(), checksum }
      },
    }
  }

  async function textOf(store: ObjectStore): Promise<string> {
    const wrapped = withPrefix(withRetry(withConcurrencyLimit(withTimeout(store)), quick), 'in/')
    const found = await withRetry(wrapped, quick).get('a')
    return Buffer.concat(await Array.fromAsync(found?.body ?? [])).toString()
  }

  it.each([
    ['before the break', 'what was'],
    ['before a break behind its last byte', text],
  ])('is compared with the checksum of the whole, for damage %s', async (_, delivered) => {
    expect(await textOf(await breakingStore(delivered))).toBe(text)
    const damaged = await breakingStore(delivered.replace('what', 'whet'))
    await expect(textOf(damaged)).rejects.toMatchObject({ code: 'CORRUPT', details: { key: 'in/a' } })
  })

  it('goes on without the checksum where that has seen other bytes than came out', async () => {
    const store = await breakingStore('what was', (chunk) => chunk.subarray(1))
    expect(await textOf(store)).toBe(text)
  })
})
