import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { WorkspaceError, withRetry, type ObjectStore } from '@ws/core'
import {
  startFaultProxy,
  startFauxqs,
  startR2Server,
  type FaultProxy,
  type S3TestServer,
} from '@ws/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { s3Store, type S3Store, type S3StoreOptions } from '../src/index.ts'
import { storeWith } from './open-fixtures.ts'

const MIB = 1_048_576

let server: S3TestServer
let proxy: FaultProxy
let store: S3Store
let client: S3Client
beforeAll(async () => {
  server = await startR2Server()
  proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
  store = storeWith(server, { endpoint: endpoint() })
  client = new S3Client(server.clientConfig)
})
afterAll(async () => {
  client.destroy()
  await proxy.stop()
  await server.stop()
})
beforeEach(() => proxy.reset())

function endpoint(): string {
  return proxy.through(server.clientConfig.endpoint ?? '')
}

async function keysOf(
  each: ObjectStore,
  prefix: string,
  options?: { startAfter?: string },
): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of each.list(prefix, options)) keys.push(key)
  return keys
}

function isRange({ headers }: { readonly headers: object }): boolean {
  return 'range' in headers
}

function crc32Of(bytes: Uint8Array): string {
  return Buffer.from(zlib.crc32(bytes).toString(16).padStart(8, '0'), 'hex').toString('base64')
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.fail('should have been refused'),
    (error: unknown) => error,
  )
}

describe('options', () => {
  it.each([
    {},
    { bucket: '' },
    { bucket: 'a/b' },
    { bucket: 'a b' },
    { bucket: 'b', prefix: '../x' },
    { bucket: 'b', prefix: 'a//b' },
    { bucket: 'b', prefix: 'p'.repeat(600) },
    { bucket: 'b', partBytes: 5 * MIB - 1 },
    { bucket: 'b', partBytes: 6e9 },
    { bucket: 'b', parallelParts: 0 },
    { bucket: 'b', singlePutBytes: -1 },
  ])('%j cannot work, and is refused before anything is sent', (options) => {
    expect(() => s3Store(options as S3StoreOptions)).toThrow(WorkspaceError)
  })

  it('a prefix is a folder that no key leaves, and takes its room from the longest key', async () => {
    const within = storeWith(server, { prefix: 'teams/a' })
    const same = storeWith(server, { prefix: 'teams/a/' })
    await within.put('k', Buffer.from('x'))
    await storeWith(server, { prefix: 'teams/ab' }).put('other', Buffer.from('x'))
    expect(await keysOf(within, '')).toEqual(['k'])
    expect(await keysOf(same, '')).toEqual(['k'])
    expect(await keysOf(store, 'teams/')).toEqual(['teams/a/k', 'teams/ab/other'])
    expect(within.capabilities.maxKeyBytes).toBe(undefined)
    const deep = storeWith(server, { prefix: 'p'.repeat(199) })
    expect(deep.capabilities.maxKeyBytes).toBe(824)
    await deep.put('k'.repeat(824), Buffer.from('x'))
    expect(await failureOf(deep.put('k'.repeat(825), Buffer.from('x')))).toMatchObject({
      code: 'INVALID_INPUT',
    })
  })

  it('a client of the caller is used as it is', async () => {
    const own = s3Store({ bucket: server.bucket, client })
    await own.put('own-client', Buffer.from('x'))
    expect(await own.head('own-client')).toMatchObject({ size: 1 })
  })

  it.each([
    [undefined, 'atomic'],
    [{ region: 'eu-central-1' }, 'atomic'],
    [{ region: 'auto', endpoint: 'https://account.r2.cloudflarestorage.com' }, 'atomic'],
    [{ region: 'us-east-1', endpoint: 'https://s3.us-east-1.amazonaws.com' }, 'atomic'],
    [{ region: 'us-east-1', endpoint: 'https://amazonaws.com.evil.example' }, 'checked'],
    [{ region: 'us-east-1', endpoint: 'https://minio.example' }, 'checked'],
  ] as const)('with %j conditions are claimed to be %s', (config, claim) => {
    expect(s3Store({ bucket: 'b', client: config }).capabilities.createIfAbsent).toBe(claim)
  })
})

describe('a list', () => {
  beforeAll(async () => {
    for (let index = 0; index < 25; index += 1)
      await store.put(`list/${String(index).padStart(2, '0')}`, Buffer.from('x'))
  })

  it('shows no names that are no keys, such as the folders that consoles make', async () => {
    for (const Key of ['strange/folder/', 'strange/a//b', 'strange/d'])
      await client.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'x' }))
    expect(await keysOf(store, 'strange/')).toEqual(['strange/d'])
  })

  it('asks for the next page only when it is needed', async () => {
    for await (const { key } of store.list('list/')) if (key === 'list/00') break
    expect(proxy.requests.length).toBe(1)
  })

  const page = (keys: readonly string[], more = '<IsTruncated>false</IsTruncated>'): string =>
    `<?xml version="1.0"?><ListBucketResult><Name>b</Name><Prefix></Prefix>${more}${keys
      .map(
        (key) =>
          `<Contents><Key>${key}</Key><LastModified>2026-11-25T12:00:00.000Z</LastModified><ETag>"x"</ETag><Size>1</Size></Contents>`,
      )
      .join('')}</ListBucketResult>`
  const truncated = '<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>'
  const answerWith = (...pages: readonly string[]): void => {
    for (const [skip, body] of pages.entries())
      proxy.inject({
        skip,
        fault: { kind: 'answer', status: 200, headers: { 'content-type': 'application/xml' }, body },
      })
  }

  it('goes on behind the last key of a page, one page ahead of its reader', async () => {
    answerWith(page(['a', 'b'], truncated), page(['c', 'd']))
    expect(await keysOf(store, '')).toEqual(['a', 'b', 'c', 'd'])
    expect(proxy.requests[1]?.url).toContain('continuation-token=t')
  })

  it('of one page is sorted, whatever the order of the service', async () => {
    answerWith(page(['b', 'B', 'a', 'A']))
    expect(await keysOf(store, '')).toEqual(['A', 'B', 'a', 'b'])
  })

  it.each([
    ['within a page', [page(['a', 'B'], truncated), page(['c'])]],
    ['between pages', [page(['b', 'c'], truncated), page(['a'])]],
    ['by a key that comes twice', [page(['a', 'b'], truncated), page(['b', 'c'])]],
  ])('of many pages in another order, seen %s, is UNSUPPORTED', async (_, pages) => {
    answerWith(...pages)
    expect(await failureOf(keysOf(store, ''))).toMatchObject({ code: 'UNSUPPORTED' })
  })

  it.each([
    ['that goes on without saying where', page(['a'], '<IsTruncated>true</IsTruncated>')],
    ['that is empty and says nothing', '<ListBucketResult></ListBucketResult>'],
    ['without sizes', page(['a']).replace('<Size>1</Size>', '')],
  ])('%s is UNAVAILABLE and not the end', async (_, body) => {
    answerWith(body)
    expect(await failureOf(keysOf(store, ''))).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('that is sent in circles is an error', async () => {
    answerWith(page([], truncated), page([], truncated))
    expect(await failureOf(keysOf(store, ''))).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('of somebody else stays out, should a service answer with more than was asked for', async () => {
    answerWith(page(['mine/a', 'yours/b']))
    expect(await keysOf(store, 'mine/')).toEqual(['mine/a'])
  })
})

describe('a signed URL', () => {
  /** The server may close an idle connection just when it is used again; a browser, too, then takes another one. */
  const request = (...given: Parameters<typeof fetch>): Promise<Response> =>
    fetch(...given).catch(() => fetch(...given))

  it('reads and writes one key, and nothing else', async () => {
    const key = 'signed/a b+c#%é'
    const put = await store.signedUrl?.(key, { method: 'PUT', expiresInMs: 60_000 })
    const get = await store.signedUrl?.(key, { method: 'GET', expiresInMs: 60_000 })
    expect(put?.search).not.toMatch(/checksum-crc32|sdk-checksum/)
    const put1 = await request(put ?? '', {
      method: 'PUT',
      body: 'hello',
      headers: { 'content-type': 'text/plain' },
    })
    expect(put1.status).toBe(200)
    expect(await (await request(get ?? '')).text()).toBe('hello')
    expect((await store.head(key))?.contentType).toBe('text/plain')
    expect((await request(get ?? '', { method: 'PUT', body: 'x' })).status).toBe(403)
    const other = new URL(get ?? '')
    other.pathname = other.pathname.replace('signed', 'other')
    expect((await request(other)).status).toBe(403)
  })

  it('carries no checksum of an empty body for clients that send checksums', async () => {
    const fauxqs = await startFauxqs()
    const url = await storeWith(fauxqs).signedUrl?.('a', { method: 'PUT' })
    await fauxqs.stop()
    expect(url?.search).toContain('X-Amz-Signature')
    expect(url?.search).not.toMatch(/x-amz-checksum-crc32|x-amz-sdk-checksum/i)
  })

  it('is of no use after its time', async () => {
    await store.put('signed/old', Buffer.from('x'))
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 })
    const sign = store.signedUrl?.('signed/old', { method: 'GET', expiresInMs: 3_500_000 })
    const url = await sign?.finally(() => vi.useRealTimers())
    const answer = await request(url ?? '')
    expect(answer.status).toBe(403)
    expect(await answer.text()).toContain('expired')
  })

  it.each([0, 999, 604_800_001, Number.NaN])('for %s ms is refused', async (expiresInMs) => {
    expect(
      await failureOf(store.signedUrl?.('a', { method: 'GET', expiresInMs }) ?? Promise.resolve()),
    ).toMatchObject({
      code: 'INVALID_INPUT',
    })
  })
})

describe('a probe', () => {
  it('leaves nothing behind, also when it cannot end', async () => {
    await store.probe()
    expect(await keysOf(store, 'ws-probe-')).toEqual([])
    proxy.inject({ skip: 6, fault: { kind: 'answer', status: 500 } })
    expect(await failureOf(store.probe())).toMatchObject({ code: 'UNAVAILABLE' })
    expect(await keysOf(store, 'ws-probe-')).toEqual([])
  })

  it('finds a service that refuses conditions, and the store then looks before it puts', async () => {
    const notImplemented = {
      kind: 'answer',
      status: 501,
      headers: { 'content-type': 'application/xml' },
      body: '<Error><Code>NotImplemented</Code></Error>',
    } as const
    proxy.inject({
      match: ({ headers }) => 'if-none-match' in headers || 'if-match' in headers,
      times: Number.POSITIVE_INFINITY,
      fault: notImplemented,
    })
    const swift = storeWith(server, { endpoint: endpoint() })
    const { capabilities, listsInByteOrder } = await swift.probe()
    expect(capabilities).toMatchObject({ createIfAbsent: 'checked', replaceIfMatch: 'checked' })
    expect(swift.capabilities).toEqual(capabilities)
    expect(listsInByteOrder).toBe(true)
    const { etag } = await swift.put('swift', Buffer.from('x'), { ifAbsent: true })
    expect(await failureOf(swift.put('swift', Buffer.from('y'), { ifAbsent: true }))).toMatchObject({
      code: 'CONFLICT',
    })
    await swift.put('swift', Buffer.from('y'), { ifMatch: etag })
  })

  it('finds a service that takes the current etag for a wrong one, as Ceph 16 does', async () => {
    proxy.inject({
      match: ({ headers }) => 'if-match' in headers,
      times: Number.POSITIVE_INFINITY,
      fault: { kind: 'answer', status: 412, body: '<Error><Code>PreconditionFailed</Code></Error>' },
    })
    const ceph = storeWith(server, { endpoint: endpoint() })
    expect((await ceph.probe()).capabilities).toMatchObject({
      createIfAbsent: 'atomic',
      replaceIfMatch: 'checked',
    })
  })

  it('finds a service that keeps a condition unless writers race', async () => {
    proxy.inject({
      match: ({ method, url }) => method === 'PUT' && url.includes('/race-1'),
      times: Number.POSITIVE_INFINITY,
      fault: {
        kind: 'answer',
        status: 200,
        headers: { etag: '"won"', 'x-amz-server-side-encryption': 'aws:kms' },
      },
    })
    const racy = storeWith(server, { endpoint: endpoint() })
    expect((await racy.probe()).capabilities).toMatchObject({
      createIfAbsent: 'checked',
      replaceIfMatch: 'atomic',
    })
  })

  it('finds a service that knows no ranges, which are refused from then on', async () => {
    proxy.inject({
      match: ({ headers, method }) => method === 'GET' && 'range' in headers,
      times: Number.POSITIVE_INFINITY,
      fault: {
        kind: 'answer',
        status: 200,
        headers: { etag: '"x"', 'last-modified': 'Wed, 25 Nov 2026 12:00:00 GMT' },
        body: 'abcdef',
      },
    })
    const old = storeWith(server, { endpoint: endpoint() })
    expect((await old.probe()).capabilities.rangeReads).toBe(false)
    expect(await failureOf(old.get('a', { range: { start: 0, end: 1 } }))).toMatchObject({
      code: 'UNSUPPORTED',
    })
  })
})

describe('metadata', () => {
  it('comes back with the spaces, signs and emptiness that headers lose', async () => {
    const metadata = {
      empty: '',
      spaces: ' two  spaces ',
      percent: '100% %20',
      prefixed: 'pct:%',
      plain: 'a "b"; c',
    }
    await store.put('metadata', Buffer.from('x'), { metadata })
    expect((await store.head('metadata'))?.metadata).toEqual(metadata)
  })

  it('of others comes as they wrote it', async () => {
    await client.send(
      new PutObjectCommand({
        Bucket: server.bucket,
        Key: 'foreign',
        Body: 'x',
        Metadata: { odd: 'pct:%zz' },
      }),
    )
    expect((await store.head('foreign'))?.metadata).toEqual({ odd: 'pct:%zz' })
  })
})

describe('below withRetry', () => {
  const patient = (): ObjectStore => withRetry(store, { sleep: async () => undefined })

  it('calls come through an outage, and a read goes on where its connection was reset', async () => {
    const bytes = Buffer.concat(Array.from({ length: 40 }, (_, index) => Buffer.alloc(100_000, index)))
    await store.put('large', bytes)
    proxy.reset()
    proxy.inject({ times: 2, fault: { kind: 'reset' } })
    proxy.inject({
      match: ({ method }) => method === 'GET',
      times: 5,
      fault: { kind: 'cut-down', afterBytes: 500_000 },
    })
    const found = await patient().get('large')
    const chunks: Uint8Array[] = []
    for await (const chunk of found?.body ?? []) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
    expect(proxy.requests.map(({ status }) => status)).toEqual([0, 0, 200, 206, 206, 206])
  })

  it.each([
    ['that its etag is', {}],
    [
      'that was stored with it',
      { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-checksum-crc32': crc32Of(Buffer.alloc(MIB, 7)) },
    ],
  ])('a read in pieces has the checksum %s', async (_, headers) => {
    const bytes = Buffer.alloc(MIB, 7)
    await store.put('pieces', bytes)
    const describing = await startFaultProxy({ target: proxy.origin })
    describing.inject({ match: (seen) => !isRange(seen), times: 9, fault: { kind: 'headers', headers } })
    const through = storeWith(server, { endpoint: describing.through(endpoint()) })
    for (const isDamaged of [false, true]) {
      proxy.reset()
      if (isDamaged) proxy.inject({ match: isRange, fault: { kind: 'flip-down', atByte: 100 } })
      proxy.inject({ fault: { kind: 'cut-down', afterBytes: MIB / 2 } })
      const found = await withRetry(through, { sleep: async () => undefined }).get('pieces')
      const read = Array.fromAsync(found?.body ?? [])
      if (isDamaged) await expect(read).rejects.toMatchObject({ code: 'CORRUPT' })
      else expect(Buffer.concat(await read).equals(bytes)).toBe(true)
    }
    await describing.stop()
  })

  it('a list goes on where it broke off, and a slow service is waited for', async () => {
    proxy.inject({ times: 2, fault: { kind: 'answer', status: 503 } })
    proxy.bytesPerSecond = 1_000_000
    expect((await keysOf(patient(), 'list/')).length).toBe(25)
    proxy.bytesPerSecond = Number.POSITIVE_INFINITY
  })
})

describe('connections', () => {
  it('are used again from one request to the next', async () => {
    const one = storeWith(server, { endpoint: endpoint() })
    for (let index = 0; index < 10; index += 1) await one.put(`reuse/${index}`, Buffer.from('x'))
    for (let index = 0; index < 10; index += 1) {
      const found = await one.get(`reuse/${index}`)
      for await (const _ of found?.body ?? []);
    }
    await keysOf(one, 'reuse/')
    expect(proxy.requests.length).toBe(21)
    expect(proxy.connections).toBe(1)
  })

  it('are used again by readers who take what they asked for and look no further, or nothing', async () => {
    const one = storeWith(server, { endpoint: endpoint() })
    await one.put('ranges', Buffer.alloc(1_000_000))
    for (let index = 0; index < 5; index += 1) {
      const range = await one.get('ranges', { range: { start: index, end: index + 1_000 } })
      for await (const chunk of range?.body ?? []) if (chunk.length === 1_000) break
      await (await one.get('ranges', { range: { start: index, end: index + 1_000 } }))?.discard()
      // The next request must not begin before the last answer has ended.
      await one.head('ranges')
      await one.head('ranges')
    }
    expect(proxy.connections).toBeLessThanOrEqual(2)
  })
})

describe('no request stays open', () => {
  let isAsked = false
  const entry = (key: string): string =>
    `<Contents><Key>${key}</Key><LastModified>2026-11-25T12:00:00.000Z</LastModified><ETag>"x"</ETag><Size>1</Size></Contents>`
  const list = `<ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>${entry('a')}${entry('b')}</ListBucketResult>`

  it.each([
    [
      'of a list that was left before its next page came',
      async (each: ObjectStore) => {
        for await (const { key } of each.list('')) {
          if (key === 'a') continue
          await vi.waitFor(() => expect(isAsked).toBe(true))
          break
        }
      },
    ],
    [
      'of a small body that was discarded before it came',
      async (each: ObjectStore) => (await each.get('a'))?.discard(),
    ],
  ])('%s', async (_, leave) => {
    let open = 0
    const silent = createServer(({ url = '' }, response) => {
      open += 1
      response.on('close', () => (open -= 1))
      isAsked = url.includes('continuation-token')
      if (isAsked) return
      if (url.includes('list-type')) return void response.end(list)
      response.writeHead(200, {
        'content-length': '9',
        etag: '"x"',
        'last-modified': new Date(0).toUTCString(),
      })
      response.write('begin')
    }).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    await leave(storeWith(server, { endpoint: `http://127.0.0.1:${port}` }))
    await vi.waitFor(() => expect(open).toBe(0), { timeout: 5_000 })
    silent.closeAllConnections()
    silent.close()
  })
})

it('streams 200 MB in and out of a process with no more than 250 MB', async () => {
  const run = promisify(execFile)
  const { stdout } = await run(
    process.execPath,
    ['--conditions=@ws/source', join(import.meta.dirname, 'stream-in-child.ts'), JSON.stringify(server.clientConfig), server.bucket],
  ) // prettier-ignore
  const { bytes, peakBytes, digests } = JSON.parse(stdout) as {
    bytes: number
    peakBytes: number
    digests: string[]
  }
  expect(bytes).toBe(200 * MIB)
  expect(digests[0]).toBe(digests[1])
  expect(peakBytes).toBeLessThan(250e6)
})
