import { faultyStore, objectStoreChecks, runCheck } from '@ws/conformance'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import { WorkspaceError, readOnly, withPrefix, withRetry, type ObjectStore } from '../../src/index.ts'

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
