import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { createClient } from '@supabase/supabase-js'
import { startServerProcess } from '@ws/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { storageFetch, supabaseStore } from '../src/index.ts'
import { answerOf, markRequest } from '../src/storage-fetch.ts'
import { keys, tokens } from './open-test-storage.ts'

let seen: IncomingMessage[] = []
const server = createServer((request, response) => {
  seen.push(request)
  request.resume().on('end', () => {
    response.setHeader('x-two', ['one', 'two'])
    response.writeHead(Number(new URL(request.url ?? '', 'http://any').searchParams.get('status') ?? 200))
    response.end(request.method)
  })
})
let url = ''

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(() => server.close())

it('sends requests of the store over node:http and all others by fetch', async () => {
  const direct = await storageFetch(url, markRequest({}))
  expect(answerOf(direct)?.statusCode).toBe(200)
  expect(await direct.text()).toBe('GET')
  expect(answerOf(await storageFetch(url))).toBeNull()
  expect(answerOf(await storageFetch(new Request(url), { method: 'POST' }))).toBeNull()
})

it('gives answers as fetch does: statuses without a body, redirects, fields that come twice', async () => {
  for (const status of [200, 204, 302, 304, 404]) {
    const init = { redirect: 'manual' } as const
    const [direct, plain] = await Promise.all([
      storageFetch(`${url}?status=${status}`, markRequest(init)),
      fetch(`${url}?status=${status}`, init),
    ])
    expect([direct.status, direct.ok]).toEqual([plain.status, plain.ok])
    expect(direct.headers.get('x-two')).toBe(plain.headers.get('x-two'))
    expect(await direct.text()).toBe(await plain.text())
  }
})

it('sends bodies of any kind, and the length of those that are whole', async () => {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(70_000)
    yield new Uint8Array(1)
  }
  for (const [body, length, encoding] of [
    [undefined, '0', undefined],
    ['{"ü":1}', '8', undefined],
    [pieces(), undefined, 'chunked'],
  ] as const) {
    seen = []
    await (await storageFetch(url, markRequest({ method: 'POST', body }))).text()
    const { headers } = seen[0] as IncomingMessage
    expect([headers['content-length'], headers['transfer-encoding']]).toEqual([length, encoding])
  }
})

it('fails with the body of a request that fails, and when its signal aborts', async () => {
  const failure = new Error('no more')
  // eslint-disable-next-line require-yield
  async function* failing(): AsyncGenerator<Uint8Array> {
    throw failure
  }
  await expect(storageFetch(url, markRequest({ method: 'POST', body: failing() }))).rejects.toBe(failure)
  const stop = new AbortController()
  const asked = storageFetch(url, markRequest({ signal: stop.signal }))
  stop.abort()
  await expect(asked).rejects.toMatchObject({ name: 'AbortError' })
})

it('goes into a client, whose token is sent', async () => {
  const storage = await startServerProcess('supabase', { tokens })
  try {
    const client = createClient(storage.url, keys.writer, {
      auth: { persistSession: false },
      global: { fetch: storageFetch },
    })
    const store = supabaseStore({ client, bucket: 'bucket' })
    await store.put('key', new Uint8Array([1, 2]))
    const found = await store.get('key')
    if (found === null) throw new Error('There is no such object.')
    expect(await buffer(found.body)).toEqual(Buffer.from([1, 2]))
  } finally {
    await storage.stop()
  }
})
