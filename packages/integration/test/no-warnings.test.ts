import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { StorageClient } from '@supabase/storage-js'
import { reliableStore, type ObjectStore } from '@ws/core'
import { localStore } from '@ws/store-local'
import { storageFetch, supabaseStore } from '@ws/store-supabase'
import { startSupabaseServer } from '@ws/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { troubledServices, type Service } from './troubled-services.ts'

/** More than the ten listeners of one kind at which Node warns. */
const AT_ONCE = 48
const MIB = 1_048_576

const warnings: Error[] = []
const note = (warning: Error): void => void warnings.push(warning)
process.on('warning', note)
afterAll(() => void process.off('warning', note))
beforeEach(() => void warnings.splice(0))

async function assertNoWarning(): Promise<void> {
  // They are told in a later turn.
  await turn()
  expect(warnings).toEqual([])
}

async function* stream(pieces: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < pieces; index += 1) yield Buffer.alloc(MIB, index)
}

async function length(store: ObjectStore, key: string, signal: AbortSignal): Promise<number> {
  let bytes = 0
  for await (const chunk of (await store.get(key, { signal }))?.body ?? []) bytes += chunk.length
  return bytes
}

const services: Readonly<Record<string, () => Promise<{ store: ObjectStore; stop(): Promise<unknown> }>>> = {
  ...Object.fromEntries(
    Object.entries(troubledServices).map(([name, adapter]) => [
      name,
      async () => {
        const service: Service = await adapter.start()
        return { store: service.open(service.origin), stop: () => service.stop() }
      },
    ]),
  ),
  async 'supabase, by storageFetch'() {
    const server = await startSupabaseServer()
    const client = new StorageClient(
      `${server.url}/storage/v1`,
      { authorization: 'Bearer service-key' },
      storageFetch,
    )
    return { store: supabaseStore({ client, bucket: 'bucket' }), stop: () => server.stop() }
  },
  async local() {
    const root = mkdtempSync(join(tmpdir(), 'ws-no-warnings-'))
    return { store: localStore({ root }), stop: async () => rmSync(root, { recursive: true, force: true }) }
  },
}

describe.each(Object.entries(services))('%s: the process hears no warning', (_, start) => {
  let service: Awaited<ReturnType<typeof start>>
  let store: ObjectStore
  beforeAll(async () => {
    service = await start()
    store = service.store
  })
  afterAll(() => service.stop())

  describe.each([
    ['bare', (inner: ObjectStore) => inner],
    ['reliable', (inner: ObjectStore) => reliableStore(inner)],
  ])('%s', (_kind, wrap) => {
    it('of many calls at once that share a signal', async () => {
      const { signal } = new AbortController()
      const busy = wrap(store)
      const keys = Array.from({ length: AT_ONCE }, (_each, index) => `many/${index}`)
      await Promise.all(keys.map((key) => busy.put(key, Buffer.alloc(10_000), { signal })))
      expect(await Promise.all(keys.map((key) => length(busy, key, signal)))).toEqual(keys.map(() => 10_000))
      await Promise.all(keys.map((key) => busy.head(key, { signal })))
      await Promise.all(keys.map(() => Array.fromAsync(busy.list('many/', { signal }))))
      await Promise.all(keys.map((key) => busy.delete(key, { signal })))
      await assertNoWarning()
    })

    it('of calls that are aborted at once, and of bodies that nobody reads', async () => {
      const busy = wrap(store)
      await busy.put('unread', Buffer.alloc(2 * MIB))
      const found = await Promise.all(Array.from({ length: AT_ONCE }, () => busy.get('unread')))
      await Promise.all(found.map((each) => each?.discard() ?? expect.fail()))
      const abort = new AbortController()
      const { signal } = abort
      const calls = Array.from({ length: AT_ONCE }, (_each, index) => busy.put(`cut/${index}`, stream(10), { signal }))
      abort.abort(new Error('enough'))
      for (const { status } of await Promise.allSettled(calls)) expect(status).toBe('rejected')
      await assertNoWarning()
    })
  })

  it('of large bodies, one alone and several at once, up and down', async () => {
    const { signal } = new AbortController()
    const busy = reliableStore(store)
    await busy.put('large', stream(66), { signal })
    expect(await length(busy, 'large', signal)).toBe(66 * MIB)
    const keys = Array.from({ length: 11 }, (_each, index) => `large/${index}`)
    await Promise.all(keys.map((key) => busy.put(key, stream(7), { signal })))
    expect(await Promise.all(keys.map((key) => length(busy, key, signal)))).toEqual(keys.map(() => 7 * MIB))
    await Promise.all(keys.map((key) => busy.delete(key, { signal })))
    await assertNoWarning()
  })
}) // prettier-ignore
