import { expect, it } from 'vitest'
import { WorkspaceError } from '../../src/errors.ts'
import { defineStore, type StoreMethods } from '../../src/store/define-store.ts'
import type { ObjectInfo, ObjectStore } from '../../src/store/object-store.ts'

const info: ObjectInfo = { key: 'a', size: 0, etag: '1', modifiedAt: new Date(0), metadata: {} }

/** Methods that write down how they are called. */
function recording(): { calls: unknown[][]; methods: Required<StoreMethods> } {
  const calls: unknown[][] = []
  const methods: Required<StoreMethods> = {
    name: 'recording',
    capabilities: {
      createIfAbsent: 'atomic',
      replaceIfMatch: 'atomic',
      rangeReads: true,
      metadata: true,
      signedUrls: true,
    },
    get: async (...call) => (calls.push(['get', ...call]), null),
    head: async (...call) => (calls.push(['head', ...call]), null),
    put: async (...call) => (calls.push(['put', ...call]), info),
    delete: async (...call) => void calls.push(['delete', ...call]),
    async *list(...call) {
      calls.push(['list', ...call])
      yield info
    },
    signedUrl: async (...call) => (calls.push(['signedUrl', ...call]), new URL('http://127.0.0.1/')),
  }
  return { calls, methods }
}

const body = new Uint8Array(1)
const calls: Readonly<
  Record<string, (store: ObjectStore, key: string, options?: object) => Promise<unknown>>
> = {
  get: (store, key, options) => store.get(key, options),
  head: (store, key, options) => store.head(key, options),
  put: (store, key, options) => store.put(key, body, options),
  delete: (store, key, options) => store.delete(key, options),
  list: (store, key, options) => Array.fromAsync(store.list(key, options)),
  signedUrl: async (store, key, options) => store.signedUrl?.(key, { method: 'GET', ...options }),
}

it.each(Object.entries(calls))(
  '%s reaches the adapter with its options, also where none are given',
  async (name, call) => {
    const { calls: reached, methods } = recording()
    await call(defineStore(methods), 'a')
    const options = name === 'signedUrl' ? { method: 'GET' } : {}
    expect(reached).toEqual([[name, 'a', ...(name === 'put' ? [body] : []), options]])
  },
)

it.each(Object.entries(calls))('%s is refused before it reaches the adapter', async (_, call) => {
  const { calls: reached, methods } = recording()
  const store = defineStore(methods)
  await expect(call(store, '../a')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(call(store, 'a', { signal: 'none' })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(call(store, 'a', { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
  expect(reached).toEqual([])
})

it.each(Object.entries(calls))('%s asks the adapter which keys there can be', async (_, call) => {
  const { calls: reached, methods } = recording()
  const refuse = (): never => {
    throw new WorkspaceError('INVALID_INPUT', 'The service has no such key.')
  }
  const store = defineStore(methods, { assertKey: refuse, assertPrefix: refuse })
  await expect(call(store, 'a')).rejects.toThrow('no such key')
  expect(reached).toEqual([])
})

it('tells what an adapter can do at the moment, and signs only where the adapter does', () => {
  const { methods } = recording()
  let rangeReads = false
  const { signedUrl: _, ...unsigned } = methods
  const store = defineStore({
    ...unsigned,
    get capabilities() {
      return { ...methods.capabilities, signedUrls: false, rangeReads }
    },
  })
  expect(store.capabilities.rangeReads).toBe(false)
  rangeReads = true
  expect(store.capabilities.rangeReads).toBe(true)
  expect('signedUrl' in store).toBe(false)
  expect('signedUrl' in defineStore(methods)).toBe(true)
})
