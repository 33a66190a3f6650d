import { faultyStore, objectStoreChecks, runCheck } from '@ws/conformance'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import {
  WorkspaceError,
  readOnly,
  reliableStore,
  withCapabilities,
  withConcurrencyLimit,
  withPrefix,
  withRetry,
  withTimeout,
  type ObjectStore,
} from '../../src/index.ts'

/** Fails every third call before it begins, and every fifth item of a list or body. */
function unreliable(): ObjectStore {
  let calls = 0
  let items = 0
  return faultyStore(memoryStore(), ({ method, moment }) => {
    const isItem = moment === 'result' && (method === 'get' || method === 'list')
    // BUSY says that nothing was done, so that puts with a condition may be repeated too.
    if (moment === 'before' ? ++calls % 3 === 0 : isItem && ++items % 5 === 0)
      throw new WorkspaceError(method === 'put' ? 'BUSY' : 'UNAVAILABLE', 'The service is down.')
  })
}

// Every third call fails for as long as a check lasts: more than the budget of repetitions is there to allow.
const noPause = { sleep: async () => undefined, attempts: 100, budgetTokens: 100_000 }
const wrapped: Record<string, () => ObjectStore> = {
  'withPrefix(memory)': () => withPrefix(memoryStore(), 'team/a'),
  'withRetry(memory)': () => withRetry(memoryStore()),
  'withRetry(unreliable memory)': () => withRetry(unreliable(), noPause),
  'withPrefix(withRetry(unreliable memory))': () => withPrefix(withRetry(unreliable(), noPause), 'x/'),
}

describe.each(Object.entries(wrapped))('%s keeps the contract', (_, open) => {
  for (const check of objectStoreChecks) it(check.name, () => runCheck(check, open()))
})

it('fails some checks without the retries, so the faults are real', async () => {
  const outcomes = await Promise.allSettled(
    objectStoreChecks.slice(0, 20).map((check) => runCheck(check, unreliable())),
  )
  expect(outcomes.filter(({ status }) => status === 'rejected').length).toBeGreaterThan(10)
})

/** As callers without types make them. */
interface AnyStore {
  get(...call: unknown[]): Promise<unknown>
  head(...call: unknown[]): Promise<unknown>
  put(...call: unknown[]): Promise<unknown>
  delete(...call: unknown[]): Promise<unknown>
  list(...call: unknown[]): AsyncIterable<unknown>
}

const careless: Readonly<Record<string, (store: AnyStore) => Promise<unknown>>> = {
  'put of a text': (store) => store.put('a', 'text'),
  'put of nothing': (store) => store.put('a'),
  'put of null in a stream': (store) => store.put('a', ReadableStream.from([null])),
  'put with null for options': (store) => store.put('a', Buffer.from('x'), null),
  'put with a controller for its signal': (store) =>
    store.put('a', Buffer.from('x'), { signal: new AbortController() }),
  'get with null for options': (store) => store.get('a', null),
  'get with a controller for its signal': (store) => store.get('a', { signal: new AbortController() }),
  'get with a signal for options': (store) => store.get('a', new AbortController().signal),
  'head with null for options': (store) => store.head('a', null),
  'head with a signal for options': (store) => store.head('a', new AbortController().signal),
  'delete with null for options': (store) => store.delete('a', null),
  'list with null for options': (store) => Array.fromAsync(store.list('', null)),
  'list after a number': (store) => Array.fromAsync(store.list('', { startAfter: 5 })),
}

describe.each(Object.entries({
  readOnly: (store: ObjectStore) => readOnly(store),
  reliableStore: (store: ObjectStore) => reliableStore(store),
  withCapabilities: (store: ObjectStore) => withCapabilities(store, {}),
  withConcurrencyLimit: (store: ObjectStore) => withConcurrencyLimit(store),
  withPrefix: (store: ObjectStore) => withPrefix(store, 'p'),
  withRetry: (store: ObjectStore) => withRetry(store),
  withTimeout: (store: ObjectStore) => withTimeout(store),
}))('what cannot be meant is refused through %s', (name, wrap) => {
  it.each(Object.entries(careless))('%s', async (call, make) => {
    const code = name === 'readOnly' && call === 'put of null in a stream' ? 'ACCESS_DENIED' : 'INVALID_INPUT'
    await expect(make(wrap(memoryStore()) as unknown as AnyStore)).rejects.toMatchObject({ code })
  })
}) // prettier-ignore

it('a wrapper around a store in a directory still says which', () => {
  expect(withRetry({ ...memoryStore(), directory: '/d' } as ObjectStore)).toMatchObject({ directory: '/d' })
})

describe('withPrefix', () => {
  it('keeps every key below the prefix and hides what is beside it', async () => {
    const store = memoryStore()
    const inner = withPrefix(store, 'team/a')
    await store.put('team/ab', Buffer.from('beside'))
    await inner.put('key', Buffer.from('x'))
    expect(await inner.head('b')).toBe(null)
    expect((await store.head('team/a/key'))?.size).toBe(1)
    expect(await keysOf(inner)).toEqual(['key'])
    for (const key of ['../ab', '..', '/x', 'a/../../ab'])
      await expect(inner.get(key)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('signs URLs for the key below the prefix, and only where the store signs', async () => {
    const store: ObjectStore = {
      ...memoryStore(),
      capabilities: { ...memoryStore().capabilities, signedUrls: true },
      signedUrl: async (key) => new URL(`https://example.com/${key}`),
    }
    expect((await withPrefix(store, 'p').signedUrl?.('k', { method: 'GET' }))?.pathname).toBe('/p/k')
    expect((await withRetry(store).signedUrl?.('k', { method: 'GET' }))?.pathname).toBe('/k')
    expect('signedUrl' in withPrefix(memoryStore(), 'p')).toBe(false)
  })

  it('refuses a prefix that is no key or leaves no room', () => {
    for (const prefix of ['', '/', 'a//', '../a', 'x'.repeat(900)])
      expect(() => withPrefix(memoryStore(), prefix)).toThrow(
        expect.objectContaining({ code: 'INVALID_INPUT' }),
      )
  })
})

describe('readOnly', () => {
  it('reads all, and refuses every change without reading the body', async () => {
    const store = memoryStore()
    await store.put('a', Buffer.from('x'))
    const guarded = readOnly({
      ...store,
      capabilities: { ...store.capabilities, signedUrls: true },
      signedUrl: async (key) => new URL(`https://example.com/${key}`),
    })
    expect((await guarded.get('a'))?.info.size).toBe(1)
    expect((await guarded.head('a'))?.size).toBe(1)
    expect(await keysOf(guarded)).toEqual(['a'])
    expect((await guarded.signedUrl?.('a', { method: 'GET' }))?.pathname).toBe('/a')
    const denied = { code: 'ACCESS_DENIED' }
    let isRead = false
    async function* body(): AsyncGenerator<Uint8Array> {
      isRead = true
      yield Buffer.from('y')
    }
    await expect(guarded.put('a', body())).rejects.toMatchObject(denied)
    await expect(guarded.delete('a')).rejects.toMatchObject(denied)
    await expect(guarded.delete('../a')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(guarded.signedUrl?.('a', { method: 'PUT' })).rejects.toMatchObject(denied)
    expect(isRead).toBe(false)
    expect((await store.head('a'))?.size).toBe(1)
  })
})

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys
}
