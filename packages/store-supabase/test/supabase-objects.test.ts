import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { createClient } from '@supabase/supabase-js'
import { WorkspaceError, createBundleStore, withRetry, type ObjectStore } from '@ws/core'
import { startFaultProxy, startSupabaseServer, type FaultProxy, type SupabaseServer } from '@ws/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { openSupabaseStore, storageFetch, supabaseStore } from '../src/index.ts'
import { keys, secretPart, storageClient, tokens, wrongKey } from './open-test-storage.ts'

const MIB = 1_048_576
let server: SupabaseServer
let proxy: FaultProxy
beforeAll(async () => {
  server = await startSupabaseServer({ tokens, fileSizeLimit: 100 * MIB })
})
afterAll(() => server.stop())
beforeEach(async () => {
  proxy = await startFaultProxy({ target: server.url })
})
afterEach(() => proxy.stop())

const pauses: number[] = []
const retry = {
  attempts: 4,
  random: () => 1,
  sleep: async (milliseconds: number) => void pauses.push(milliseconds),
}

function open(key: string = keys.service, origin = proxy.origin): ObjectStore {
  return supabaseStore({ client: storageClient(origin, key), bucket: 'bucket', retry })
}

async function* pieces(count: number, bytes = MIB): AsyncGenerator<Uint8Array> {
  for (let value = 1; value <= count; value += 1) yield new Uint8Array(bytes).fill(value)
}

async function read(key: string, store = open()): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await store.get(key))?.body ?? []) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function failureOf(call: Promise<unknown>): Promise<WorkspaceError> {
  const error: unknown = await call.then(() => 'no failure').catch((reason: unknown) => reason)
  if (!WorkspaceError.is(error)) throw new Error(`not a WorkspaceError: ${inspect(error)}`)
  return error
}

const every: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  get: (store) => store.get('seen'),
  'get of a range': (store) => store.get('seen', { range: { start: 0, end: 1 } }),
  'get of what is absent': (store) => store.get('never'),
  head: (store) => store.head('seen'),
  put: (store) => store.put('seen', Buffer.from('new')),
  'put of a long stream': (store) => store.put('seen', pieces(7)),
  delete: (store) => store.delete('seen'),
  list: (store) => store.list('')[Symbol.asyncIterator]().next(),
  signedUrl: (store) => store.signedUrl?.('seen', { method: 'GET' }) ?? Promise.resolve(),
}

describe('clients', () => {
  it('may be a SupabaseClient, a StorageClient, or what the environment says', async () => {
    const client = createClient(server.url, keys.service)
    await supabaseStore({ client, bucket: 'bucket' }).put('client', Buffer.from('one'))
    expect((await read('client')).toString()).toBe('one')
    const before = { ...process.env }
    Object.assign(process.env, { SUPABASE_URL: server.url, SUPABASE_SERVICE_ROLE_KEY: keys.service })
    try {
      const store = await openSupabaseStore({ bucket: 'bucket', prefix: 'opened' })
      await store.put('a', Buffer.from('two'))
      expect((await read('opened/a')).toString()).toBe('two')
    } finally {
      process.env = before
    }
    await expect(openSupabaseStore({ bucket: 'bucket' })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it.each([undefined, null, {}, { storage: {} }, 'url'])('cannot be %j', (client) => {
    expect(() => supabaseStore({ client: client as never, bucket: 'bucket' })).toThrow(
      /(?:needs|must be) a client/,
    )
  })
})

describe('names in the service', () => {
  it('keep readable keys readable', async () => {
    await open().put('workspaces/task-1/versions/000001', Buffer.from('x'))
    expect(server.names('bucket')).toContain('workspaces/task-1/versions/000001')
  })

  it('cannot climb, be cut or be taken for another, whatever is in a key', async () => {
    const store = supabaseStore({ client: storageClient(server.url), bucket: 'bucket', prefix: 'fence' })
    const names = [
      'a#b',
      'a',
      'c?d',
      'c',
      'e%20f',
      'e f',
      'o%2Fp',
      'o/p',
      ' r ',
      'r',
      '%2e%2e',
      '...',
      'x&y=z',
    ]
    for (const name of names) await store.put(name, Buffer.from(name))
    for (const name of names) expect((await read(`fence/${name}`)).toString()).toBe(name)
    for (const bad of ['../x', 'a/../../x', '..\\x'])
      await expect(store.put(bad, Buffer.from('x'))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('that others gave and that stand for no key are left out of lists', async () => {
    const files = storageClient(server.url).from('bucket')
    for (const name of ['foreign/z_name', 'foreign/a b', 'foreign/fine']) await files.upload(name, 'x')
    const found: string[] = []
    for await (const { key } of open().list('foreign/')) found.push(key)
    expect(found).toEqual(['foreign/fine'])
  })
})

describe('row-level security', () => {
  beforeEach(async () => {
    await open().put('seen', Buffer.from('old'))
  })

  it.each(Object.entries(every))(
    '%s is ACCESS_DENIED for who sees nothing, not even the bucket, and never absence',
    async (_, call) => {
      for (const key of [keys.stranger, keys.blind])
        expect(await failureOf(call(open(key)))).toMatchObject({ code: 'ACCESS_DENIED' })
    },
  )

  it('of others is told from absence by whoever may write: a hidden object cannot be replaced', async () => {
    const inserter = open(keys.inserter)
    for (const call of [
      () => inserter.head('seen'),
      () => inserter.get('seen'),
      () => inserter.delete('seen'),
    ])
      expect(await failureOf(call())).toMatchObject({ code: 'ACCESS_DENIED' })
    const writer = open(keys.writer)
    const before = proxy.requests.length
    expect(await writer.head('never')).toBeNull()
    expect(await Array.fromAsync(writer.list('never/'))).toEqual([])
    expect(proxy.requests.slice(before).filter(({ method }) => method !== 'GET').length).toBe(3)
    expect(server.names('bucket').filter((name) => name.includes('never'))).toEqual([])
  })

  it('lets the service key alone believe an empty bucket that it may only read', async () => {
    const empty = await startSupabaseServer({ tokens, buckets: ['bucket'] })
    try {
      const service = open(keys.service, empty.url)
      expect(await service.head('never')).toBeNull()
      expect(await Array.fromAsync(service.list(''))).toEqual([])
      const reader = open(keys.reader, empty.url)
      for (const call of [() => reader.head('never'), () => Array.fromAsync(reader.list(''))])
        expect((await failureOf(call())).message).toContain('is empty, or the policies hide')
    } finally {
      await empty.stop()
    }
  })

  it.each(Object.entries(every))(
    '%s with a wrong, an expired or no key is ACCESS_DENIED and tells nobody the key',
    async (_, call) => {
      for (const key of [wrongKey, keys.expired]) {
        const error = await failureOf(call(open(key)))
        expect(error.code).toBe('ACCESS_DENIED')
        expect(inspect(error, { depth: 20, showHidden: true, getters: true })).not.toContain(secretPart)
      }
    },
  )

  it('that lets somebody read only refuses changes', async () => {
    const reader = open(keys.reader)
    expect((await read('seen', reader)).toString()).toBe('old')
    expect(await reader.head('never')).toBeNull()
    for (const call of [
      () => reader.put('seen', Buffer.from('x')),
      () => reader.put('b', pieces(7)),
      () => reader.delete('seen'),
    ])
      expect(await failureOf(call())).toMatchObject({ code: 'ACCESS_DENIED' })
    await reader.delete('never')
    expect((await read('seen')).toString()).toBe('old')
  })

  it('that lets somebody write what they cannot see is told at the first put', async () => {
    const error = await failureOf(open(keys.inserter).put('written', Buffer.from('x'), { ifAbsent: true }))
    expect(error).toMatchObject({ code: 'ACCESS_DENIED' })
    expect(error.message).toContain('cannot see it')
  })

  it('tells a missing bucket from a hidden one for the service key', async () => {
    const elsewhere = supabaseStore({ client: storageClient(server.url), bucket: 'elsewhere', retry })
    for (const [name, call] of Object.entries(every))
      expect([name, (await failureOf(call(elsewhere))).code]).toEqual([name, 'NOT_FOUND'])
  })
})

it('says that a body is larger than the bucket allows, and stores nothing', async () => {
  for (const body of [pieces(101), Buffer.alloc(101 * MIB)])
    expect(await failureOf(open().put('large', body))).toMatchObject({ code: 'QUOTA_EXCEEDED' })
  expect([server.names('bucket').includes('large'), server.openUploads()]).toEqual([false, 0])
})

it('a bare put is one request, and replaces nothing that is there', async () => {
  const store = open()
  await store.put('bare', Buffer.from('one'), { bare: true, ifAbsent: true })
  expect(proxy.requests.map(({ method }) => method)).toEqual(['POST'])
  const again = failureOf(store.put('bare', Buffer.from('two'), { bare: true, ifAbsent: true }))
  expect(await again).toMatchObject({ code: 'CONFLICT' })
  expect((await read('bare')).toString()).toBe('one')
})

describe('a conflict', () => {
  it('is seen in one request and in parts', async () => {
    await open().put('a', Buffer.from('old'))
    for (const body of [Buffer.from('x'), pieces(7)]) {
      const error = await failureOf(open().put('a', body, { ifAbsent: true }))
      expect(error).toMatchObject({ code: 'CONFLICT', details: { condition: 'ifAbsent' } })
    }
  })

  it('with an etag is looked at again before the last part', async () => {
    const { etag } = await open().put('a', Buffer.from('old'))
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* pieces(7)
      await open().put('a', Buffer.from('other'))
    }
    expect(await failureOf(open().put('a', source(), { ifMatch: etag }))).toMatchObject({ code: 'CONFLICT' })
    expect((await read('a')).toString()).toBe('other')
  })
})

describe('an upload in parts', () => {
  const isPart = ({ method }: { method: string }): boolean => method === 'PATCH'

  it.each([
    ['resets the connection', { kind: 'cut-up', afterBytes: 3 * MIB }],
    ['loses an answer', { kind: 'reset-after' }],
    ['answers 503', { kind: 'answer', status: 503 }],
    ['is locked', { kind: 'answer', status: 423, headers: { 'content-type': 'text/plain' }, body: 'Locked' }],
  ] as const)('goes on where the service has got to when a part %s', async (_, fault) => {
    const whole = Buffer.concat(await Array.fromAsync(pieces(13)))
    for (const [skip, body] of [pieces(13), pieces(13), pieces(13)].entries()) {
      proxy.reset()
      proxy.inject({ match: isPart, skip, fault })
      const info = await open().put(`resumed-${skip}`, body)
      expect(info.size).toBe(13 * MIB)
      expect((await read(`resumed-${skip}`)).equals(whole)).toBe(true)
    }
    expect(server.openUploads()).toBe(0)
  })

  it('that is aborted while it begins is cancelled once it has begun', async () => {
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    proxy.inject({
      match: ({ method, url }) => method === 'POST' && url.endsWith('/upload/resumable'),
      fault: { kind: 'hold', until: async () => controller.abort(reason) },
    })
    await expect(open().put('a', pieces(13), { signal: controller.signal })).rejects.toBe(reason)
    const cancelled = (): boolean =>
      proxy.requests.some((seen) => seen.method === 'DELETE' && seen.status > 0)
    await vi.waitFor(() => expect([cancelled(), server.openUploads()]).toEqual([true, 0]), 10_000)
  })

  it.each([
    ['one request', 'up to 32 MiB', 32 * MIB, 0],
    ['parts', 'of more', 32 * MIB + 1, 6],
  ])('is %s for an array %s', async (_how, _what, size, parts) => {
    const body = Buffer.alloc(size, 'some bytes that repeat at an odd distance')
    const info = await open().put(`array-${parts}`, body, { ifAbsent: true })
    expect(info.size).toBe(size)
    expect(proxy.requests.filter(isPart)).toHaveLength(parts)
    expect((await read(`array-${parts}`)).equals(body)).toBe(true)
  })

  it('gives up after so many attempts, and leaves the old object', async () => {
    await open().put('a', Buffer.from('old'))
    proxy.inject({ match: isPart, times: 99, fault: { kind: 'answer', status: 503 } })
    expect(await failureOf(open().put('a', pieces(15)))).toMatchObject({ code: 'UNAVAILABLE' })
    expect((await read('a')).toString()).toBe('old')
  })

  it.each(['fails', 'is aborted'])('is ended when its source %s', async (how) => {
    const ended = new Promise<void>((resolve) => {
      proxy.inject({
        match: ({ method }) => method === 'DELETE',
        fault: { kind: 'hold', until: async () => resolve() },
      })
    })
    const controller = new AbortController()
    const reason = new Error('enough')
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* pieces(15)
      if (how === 'fails') throw reason
      controller.abort(reason)
      yield* pieces(1)
    }
    await expect(open().put('ended', source(), { signal: controller.signal })).rejects.toBe(reason)
    await ended
    expect(server.names('bucket')).not.toContain('ended')
  })

  it('never sends the key to another host than the project', async () => {
    proxy.inject({
      match: ({ method, url }) => method === 'POST' && url.endsWith('/resumable'),
      fault: {
        kind: 'headers',
        headers: { location: 'http://attacker.invalid/storage/v1/upload/resumable/YQ' },
      },
    })
    expect(await failureOf(open().put('a', pieces(7)))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(proxy.requests.some(({ url }) => url.endsWith('/resumable/YQ'))).toBe(true)
  })

  it('is one stream where the service has no such uploads', async () => {
    const plain = await startSupabaseServer({ tokens, tus: false })
    try {
      const store = open(keys.service, plain.url)
      const info = await store.put('stream', pieces(20))
      expect(info.size).toBe(20 * MIB)
      expect((await read('stream', store)).equals(Buffer.concat(await Array.fromAsync(pieces(20))))).toBe(
        true,
      )
      const failure = new Error('the source broke')
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield* pieces(10)
        throw failure
      }
      await expect(store.put('broken', broken())).rejects.toBe(failure)
      expect(await store.head('broken')).toBeNull()
    } finally {
      await plain.stop()
    }
  })
})

describe('bytes that change', () => {
  it('on their way up are noticed and taken away again', async () => {
    for (const [count, method] of [
      [1, 'POST'],
      [7, 'PATCH'],
    ] as const) {
      proxy.reset()
      proxy.inject({
        match: (request) => request.method === method && !request.url.includes('list'),
        fault: { kind: 'flip-up', atByte: 1_000 },
      })
      expect(await failureOf(open().put('flipped', pieces(count)))).toMatchObject({ code: 'CORRUPT' })
      expect(server.names('bucket')).not.toContain('flipped')
    }
  })

  it('on their way down are noticed when a read goes on behind a break', async () => {
    await open().put('broken', Buffer.alloc(100_000, 1))
    proxy.inject({ match: ({ headers }) => 'range' in headers, fault: { kind: 'flip-down', atByte: 1_000 } })
    proxy.inject({
      match: ({ url }) => url.includes('authenticated') && !url.includes('info'),
      fault: { kind: 'cut-down', afterBytes: 50_000 },
    })
    const found = await withRetry(open(), { sleep: async () => undefined }).get('broken')
    expect(await failureOf(Array.fromAsync(found?.body ?? []))).toMatchObject({ code: 'CORRUPT' })
  })

  it('because something packs them on their way are refused', async () => {
    await open().put('packed', Buffer.alloc(100_000, 1))
    proxy.inject({
      match: ({ url }) => url.includes('authenticated') && !url.includes('info'),
      fault: { kind: 'headers', headers: { 'content-encoding': 'gzip' } },
    })
    const client = storageClient(proxy.origin, keys.service, storageFetch)
    const direct = supabaseStore({ client, bucket: 'bucket', retry })
    expect(await failureOf(direct.get('packed'))).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('and are lost in the service are CORRUPT, and no absence', async () => {
    await open().put('lost', Buffer.from('content'))
    server.lose('bucket', 'lost')
    expect(await failureOf(read('lost'))).toMatchObject({ code: 'CORRUPT' })
  })

  it('in the service are CORRUPT at the end of the body', async () => {
    await open().put('damaged', Buffer.alloc(100_000, 1))
    server.damage('bucket', 'damaged')
    expect(await failureOf(read('damaged'))).toMatchObject({ code: 'CORRUPT' })
  })
})

it('signs URLs for uploads only when two hours are acceptable', async () => {
  const store = open()
  await expect(store.signedUrl?.('up', { method: 'PUT' })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  const url = await store.signedUrl?.('up', { method: 'PUT', expiresInMs: 7_200_000 })
  expect((await fetch(url ?? '', { method: 'PUT', body: 'hello' })).status).toBe(200)
  const get = await store.signedUrl?.('up', { method: 'GET', expiresInMs: 60_000 })
  expect(await (await fetch(get ?? '')).text()).toBe('hello')
})

it('lets 16 writers save at once: each version is one writer’s, and nobody is told a success that is not there', async () => {
  const store = supabaseStore({ client: storageClient(server.url), bucket: 'bucket', prefix: 'racing' })
  const folders = Array.from({ length: 16 }, (_, index) => {
    const folder = mkdtempSync(join(tmpdir(), 'supabase-race-'))
    writeFileSync(join(folder, 'who'), `writer ${index}`)
    return folder
  })
  try {
    const outcomes = await Promise.allSettled(
      folders.map((folder, index) =>
        createBundleStore(store).save('race', folder, { message: `writer ${index}` }),
      ),
    )
    const saved = outcomes.flatMap((outcome, index) =>
      outcome.status === 'fulfilled' ? [[outcome.value.version.version, `writer ${index}`] as const] : [],
    )
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'CONFLICT' })
    expect(saved.length).toBeGreaterThan(0)
    const history = new Map<number, string>()
    for await (const { version, message } of createBundleStore(store).history('race'))
      history.set(version, message)
    expect(new Map(saved.toSorted(([a], [b]) => b - a))).toEqual(history)
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  }
})
