import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { AbortMultipartUploadCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { WorkspaceError, type ObjectStore } from '@ws/core'
import {
  startFaultProxy,
  startFauxqs,
  startR2Server,
  type FaultProxy,
  type S3TestServer,
} from '@ws/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { s3Store, type S3Store } from '../src/index.ts'
import { storeWith } from './open-fixtures.ts'

const MIB = 1_048_576
const PART = 5 * MIB

async function* pieces(count: number, bytes = MIB): AsyncGenerator<Uint8Array> {
  for (let value = 1; value <= count; value += 1) yield Buffer.alloc(bytes, value)
}

async function contentOf(store: ObjectStore, key: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await store.get(key))?.body ?? []) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.fail('should have been refused'),
    (error: unknown) => error,
  )
}

describe.each([
  ['R2', startR2Server],
  ['fauxqs', startFauxqs],
])('an upload in parts, on %s', (_, start) => {
  let server: S3TestServer
  let proxy: FaultProxy
  let store: S3Store
  let client: S3Client
  beforeAll(async () => {
    server = await start()
    proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
    const endpoint = proxy.through(server.clientConfig.endpoint ?? '')
    store = storeWith(server, { endpoint, partBytes: PART, parallelParts: 2 })
    client = new S3Client(server.clientConfig)
  })
  afterAll(async () => {
    client.destroy()
    await proxy.stop()
    await server.stop()
  })
  beforeEach(() => proxy.reset())

  function isPart({ method, url }: { method: string; url: string }): boolean {
    return method === 'PUT' && url.includes('partNumber=')
  }

  function isCompletion({ method, url }: { method: string; url: string }): boolean {
    return method === 'POST' && url.includes('uploadId=')
  }

  /** The uploads that were created and never answered for: a part can still be sent to one that is open. */
  async function openUploads(key: string): Promise<string[]> {
    const ids = new Set(proxy.requests.flatMap(({ url }) => /[?&]uploadId=([^&]+)/.exec(url)?.[1] ?? []))
    const open: string[] = []
    for (const id of ids) {
      const upload = { Bucket: server.bucket, Key: key, UploadId: decodeURIComponent(id) }
      const isOpen = await client
        .send(new UploadPartCommand({ ...upload, PartNumber: 9, Body: Buffer.alloc(1) }))
        .then(() => true, () => false) // prettier-ignore
      if (isOpen) open.push(id)
    }
    return open
  }

  it('shows how to find an open upload, so that the tests below prove something', async () => {
    proxy.inject({
      match: ({ method }) => method === 'DELETE',
      times: 9,
      fault: { kind: 'answer', status: 204 },
    })
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* pieces(11)
      throw new Error('the source broke')
    }
    await expect(store.put('left', failing())).rejects.toThrow('the source broke')
    const [id = ''] = await openUploads('left')
    expect(id).not.toBe('')
    const upload = { Bucket: server.bucket, Key: 'left', UploadId: decodeURIComponent(id) }
    await client.send(new AbortMultipartUploadCommand(upload))
  })

  it('sends parts of one size at the same time, and becomes one object', async () => {
    const expected = Buffer.concat(await Array.fromAsync(pieces(12)))
    let together = 0
    let most = 0
    proxy.inject({
      match: isPart,
      times: 9,
      fault: {
        kind: 'hold',
        async until() {
          together += 1
          most = Math.max(most, together)
          for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve))
          together -= 1
        },
      },
    })
    const info = await store.put('parts', pieces(12))
    expect(info.size).toBe(12 * MIB)
    expect((await contentOf(store, 'parts')).equals(expected)).toBe(true)
    expect(proxy.requests.filter(isPart).map(({ bytesUp }) => bytesUp)).toEqual([PART, PART, 2 * MIB])
    expect(most).toBe(2)
    expect(await store.head('parts')).toMatchObject({ size: info.size, etag: info.etag })
  })

  it('ends exactly at a part, and one byte behind it', async () => {
    for (const bytes of [PART, PART + 1, 2 * PART]) {
      proxy.reset()
      expect((await store.put('exact', pieces(1, bytes))).size).toBe(bytes)
      expect(proxy.requests.filter(isPart).length).toBe(bytes === PART ? 0 : 2)
    }
  })

  it('leaves no object and no upload when the source fails between parts', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* pieces(11)
      throw new Error('the source broke')
    }
    await expect(store.put('source', failing())).rejects.toThrow('the source broke')
    expect(await openUploads('source')).toEqual([])
    expect(await store.head('source')).toBe(null)
  })

  it('rejects at once when a part fails, while the source has nothing to give', async () => {
    async function* stuck(): AsyncGenerator<Uint8Array> {
      yield* pieces(11)
      await new Promise(() => undefined)
    }
    proxy.inject({
      match: isPart,
      skip: 1,
      fault: { kind: 'answer', status: 403, body: '<Error><Code>AccessDenied</Code></Error>' },
    })
    expect(await failureOf(store.put('part', stuck()))).toMatchObject({ code: 'ACCESS_DENIED' })
    expect(await openUploads('part')).toEqual([])
  })

  it('reads no more of the source than is in flight once a part has failed', async () => {
    let pulled = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) {
        pulled += 1
        yield Buffer.alloc(MIB, pulled)
      }
    }
    proxy.inject({ match: isPart, times: Number.POSITIVE_INFINITY, fault: { kind: 'reset' } })
    expect(await failureOf(store.put('endless', endless()))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(pulled).toBeLessThanOrEqual(4 * 5 + 1)
    expect(await openUploads('endless')).toEqual([])
  })

  it('cancels the parts in flight when it is aborted, and then leaves nothing', async () => {
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    proxy.inject({
      match: isPart,
      skip: 1,
      fault: {
        kind: 'hold',
        until: () => {
          controller.abort(reason)
          return new Promise(() => undefined)
        },
      },
    })
    expect(await failureOf(store.put('aborted', pieces(20), { signal: controller.signal }))).toBe(reason)
    expect(await openUploads('aborted')).toEqual([])
    expect(await store.head('aborted')).toBe(null)
  })

  it('aborts an upload that was being created when the signal came', async () => {
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    const isCreation = ({ method, url }: { method: string; url: string }): boolean =>
      method === 'POST' && url.includes('uploads')
    let release = (): void => undefined
    proxy.inject({
      match: isCreation,
      fault: {
        kind: 'hold',
        until: () => {
          controller.abort(reason)
          return new Promise((resolve) => (release = resolve))
        },
      },
    })
    const aborted = new Promise<void>((resolve) => {
      proxy.inject({
        match: ({ method }) => method === 'DELETE',
        fault: { kind: 'hold', until: async () => resolve() },
      })
    })
    expect(await failureOf(store.put('early', pieces(20), { signal: controller.signal }))).toBe(reason)
    release()
    await aborted
  })

  it('leaves nothing when its completion is refused', async () => {
    proxy.inject({
      match: isCompletion,
      times: Number.POSITIVE_INFINITY,
      fault: { kind: 'answer', status: 500, body: '<Error><Code>InternalError</Code></Error>' },
    })
    expect(await failureOf(store.put('refused', pieces(11)))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(await openUploads('refused')).toEqual([])
    expect(await store.head('refused')).toBe(null)
  })

  it('sends again what broke, since nobody else has the bytes any more', async () => {
    proxy.inject({ match: isPart, times: 2, fault: { kind: 'cut-up', afterBytes: 1_000 } })
    proxy.inject({ match: isPart, skip: 3, fault: { kind: 'answer', status: 503 } })
    proxy.inject({ match: ({ url }) => url.includes('uploads'), fault: { kind: 'reset' } })
    proxy.inject({ match: isCompletion, fault: { kind: 'answer', status: 500 } })
    await store.put('again', pieces(12))
    expect((await contentOf(store, 'again')).equals(Buffer.concat(await Array.fromAsync(pieces(12))))).toBe(
      true,
    )
  })

  it('knows its own object when the answer to its completion is lost', async () => {
    proxy.inject({ match: isCompletion, fault: { kind: 'reset-after' } })
    const info = await store.put('lost', pieces(11))
    expect(await store.head('lost')).toMatchObject({ size: 11 * MIB, etag: info.etag })
    // Somebody else's object in its place is not taken for it.
    proxy.inject({
      match: isCompletion,
      times: Number.POSITIVE_INFINITY,
      fault: { kind: 'answer', status: 404, body: '<Error><Code>NoSuchUpload</Code></Error>' },
    })
    expect(await failureOf(store.put('lost', pieces(13)))).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('reports what has arrived, and not what was only read', async () => {
    const reports: number[] = []
    const reading: number[] = []
    async function* source(): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces(12)) {
        reading.push(reports.at(-1) ?? 0)
        yield piece
      }
    }
    let arrive = (): void => undefined
    const arrived = new Promise<void>((resolve) => (arrive = resolve))
    proxy.inject({ match: isPart, times: 2, fault: { kind: 'hold', until: () => arrived } })
    const putting = store.put('progress', source(), {
      onProgress: (bytes) => reports.push(bytes),
    })
    while (reading.length < 11) await new Promise((resolve) => setImmediate(resolve))
    expect(reports).toEqual([])
    arrive()
    await putting
    expect(reports.length).toBe(3)
    expect(reports.at(-1)).toBe(12 * MIB)
  })

  it('makes the parts of a body of a known size so large that S3 takes them all', async () => {
    let arrive = (): void => undefined
    const arrived = new Promise<void>((resolve) => (arrive = resolve))
    proxy.inject({ match: isPart, fault: { kind: 'hold', until: async () => arrive() } })
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* pieces(7)
      await arrived
      throw new Error('the source broke')
    }
    const size = 60_000 * MIB
    await expect(store.put('known', failing(), { size })).rejects.toThrow('the source broke')
    expect(proxy.requests.find(isPart)?.headers['content-length']).toBe(String(Math.ceil(size / 10_000)))
  })
})

describe('a condition', () => {
  let server: S3TestServer
  let proxy: FaultProxy
  let store: S3Store
  beforeAll(async () => {
    server = await startR2Server()
    proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
    store = storeWith(server, {
      endpoint: proxy.through(server.clientConfig.endpoint ?? ''),
      partBytes: PART,
    })
  })
  afterAll(async () => {
    await proxy.stop()
    await server.stop()
  })
  beforeEach(() => proxy.reset())

  const isPut = ({ method }: { method: string }): boolean => method === 'PUT'
  const answer = (status: number, code: string) =>
    ({
      kind: 'answer',
      status,
      headers: { 'content-type': 'application/xml' },
      body: `<Error><Code>${code}</Code></Error>`,
    }) as const

  it.each(['ConditionalRequestConflict', 'OperationAborted'])(
    'is tried again when the service reports a race (409 %s)',
    async (code) => {
      proxy.inject({ match: isPut, times: 3, fault: answer(409, code) })
      await store.put(`race/${code}`, Buffer.from('x'), { ifAbsent: true })
      expect(proxy.requests.filter(isPut).map(({ status }) => status)).toEqual([409, 409, 409, 200])
    },
  )

  it('gives up a race that never ends as UNAVAILABLE, with nothing stored', async () => {
    proxy.inject({
      match: isPut,
      times: Number.POSITIVE_INFINITY,
      fault: answer(409, 'ConditionalRequestConflict'),
    })
    expect(await failureOf(store.put('busy', Buffer.from('x'), { ifAbsent: true }))).toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(await store.head('busy')).toBe(null)
  })

  it('that the service refuses as not implemented is UNSUPPORTED', async () => {
    proxy.inject({ match: isPut, fault: answer(501, 'NotImplemented') })
    expect(await failureOf(store.put('lacking', Buffer.from('x'), { ifAbsent: true }))).toMatchObject({
      code: 'UNSUPPORTED',
    })
  })

  it('that fails for a missing key with 404 is CONFLICT', async () => {
    proxy.inject({ match: isPut, fault: answer(404, 'NoSuchKey') })
    expect(await failureOf(store.put('gone', Buffer.from('x'), { ifMatch: 'etag' }))).toMatchObject({
      code: 'CONFLICT',
      details: { condition: 'ifMatch', key: 'gone' },
    })
  })

  it('in a bucket that does not exist is NOT_FOUND and no conflict', async () => {
    const missing = storeWith({ ...server, bucket: 'missing' })
    for (const options of [{ ifAbsent: true }, { ifMatch: 'etag' }])
      expect(await failureOf(missing.put('a', Buffer.from('x'), options))).toMatchObject({
        code: 'NOT_FOUND',
      })
  })

  it('that a repeated request finds broken by its own first success is UNAVAILABLE, not CONFLICT', async () => {
    const patient = repeating()
    proxy.inject({ match: isPut, fault: { kind: 'reset-after' } })
    const failure = await failureOf(patient.put('own', Buffer.from('mine'), { ifAbsent: true }))
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', details: { outcome: 'unknown' } })
    expect((await contentOf(store, 'own')).toString()).toBe('mine')
  })

  it("that a repeated request finds broken by somebody else's bytes is CONFLICT", async () => {
    const patient = repeating()
    await store.put('theirs', Buffer.from('theirs'))
    proxy.inject({ match: isPut, fault: { kind: 'reset' } })
    const failure = await failureOf(patient.put('theirs', Buffer.from('mine'), { ifAbsent: true }))
    expect(failure).toMatchObject({ code: 'CONFLICT' })
  })

  it('whose refusal is lost with the connection is CONFLICT where others have written, else UNAVAILABLE', async () => {
    const { etag } = await store.put('kept', Buffer.from('old'))
    await store.put('twin', Buffer.from('mine'))
    const outcomes: [string, { ifAbsent?: boolean; ifMatch?: string }, string][] = [
      ['kept', { ifAbsent: true }, 'CONFLICT'],
      ['kept', { ifMatch: 'another' }, 'CONFLICT'],
      ['nothing', { ifMatch: etag }, 'CONFLICT'],
      ['kept', { ifMatch: etag }, 'UNAVAILABLE'],
      ['nothing', { ifAbsent: true }, 'UNAVAILABLE'],
      ['twin', { ifAbsent: true }, 'UNAVAILABLE'],
    ]
    for (const [key, options, code] of outcomes) {
      proxy.reset()
      proxy.inject({ match: isPut, fault: { kind: 'reset' } })
      const failure = await failureOf(store.put(key, Buffer.from('mine'), options))
      expect(failure, `${key} ${JSON.stringify(options)}`).toMatchObject({ code })
    }
    expect((await contentOf(store, 'kept')).toString()).toBe('old')
  })

  it('on a large stream whose answer is lost is CONFLICT as soon as the one who was let through is there', async () => {
    proxy.inject({ match: isPut, fault: { kind: 'reset' } })
    const failure = failureOf(store.put('raced', pieces(12), { ifAbsent: true }))
    // The second look after it, so that the first one is over.
    const looksAfter = (): number => {
      const methods = proxy.requests.map(({ method }) => method)
      return methods.slice(methods.lastIndexOf('PUT')).filter((method) => method === 'HEAD').length
    }
    const isLookedFor = () => looksAfter() > 1 && proxy.requests.some(isPut)
    await vi.waitUntil(isLookedFor, { timeout: 30_000 })
    await storeWith(server).put('raced', Buffer.from('theirs'))
    expect(await failure).toMatchObject({ code: 'CONFLICT', details: { condition: 'ifAbsent' } })
  })

  it('on a large stream goes by one request, from a file that is gone when the put is done', async () => {
    const files = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('ws-put-'))
    const before = files()
    const info = await store.put('large', pieces(12), { ifAbsent: true })
    expect(proxy.requests.map(({ method, bytesUp }) => [method, bytesUp])).toEqual([['PUT', 12 * MIB]])
    expect((await contentOf(store, 'large')).equals(Buffer.concat(await Array.fromAsync(pieces(12))))).toBe(
      true,
    )
    const replaced = await store.put('large', pieces(13), { ifMatch: info.etag })
    expect(replaced.size).toBe(13 * MIB)
    expect(await failureOf(store.put('large', pieces(12), { ifMatch: info.etag }))).toMatchObject({
      code: 'CONFLICT',
    })
    expect(files()).toEqual(before)
  })

  it('on a large stream is sent with checksums by a client that does so', async () => {
    const fauxqs = await startFauxqs()
    try {
      const other = storeWith(fauxqs, { partBytes: PART })
      const info = await other.put('large', pieces(6), { ifAbsent: true })
      expect(info.size).toBe(6 * MIB)
      expect((await contentOf(other, 'large')).equals(Buffer.concat(await Array.fromAsync(pieces(6))))).toBe(
        true,
      )
    } finally {
      await fauxqs.stop()
    }
  })

  it('on a service that is not known is looked at before the put, and claims no more than that', async () => {
    const unknown = storeWith(server, {
      endpoint: proxy.through(server.clientConfig.endpoint ?? ''),
      conditions: undefined,
    })
    expect(unknown.capabilities).toMatchObject({ createIfAbsent: 'checked', replaceIfMatch: 'checked' })
    const { etag } = await unknown.put('unknown', Buffer.from('x'), { ifAbsent: true })
    expect(proxy.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET', 'PUT'])
    expect(proxy.requests[2]?.headers['if-none-match']).toBe('*')
    await unknown.put('unknown', Buffer.from('y'), { ifMatch: etag })
    const before = proxy.requests.length
    await unknown.put('bare', Buffer.from('x'), { ifAbsent: true, bare: true })
    expect(proxy.requests.slice(before).map(({ method }) => method)).toEqual(['PUT'])
    expect(proxy.requests.at(-1)?.headers['if-none-match']).toBe('*')
    expect(proxy.requests[4]?.headers['if-match']).toBe(`"${etag}"`)
    await unknown.probe()
    expect(unknown.capabilities).toMatchObject({ createIfAbsent: 'atomic', replaceIfMatch: 'atomic' })
    proxy.reset()
    await unknown.put('known', Buffer.from('x'), { ifAbsent: true })
    expect(proxy.requests.map(({ method }) => method)).toEqual(['PUT'])
  })

  function repeating(): S3Store {
    const { clientConfig } = server
    return storeWith(server, {
      client: { ...clientConfig, endpoint: proxy.through(clientConfig.endpoint ?? ''), maxAttempts: 3 },
    })
  }
})

describe('what was stored', () => {
  let server: S3TestServer
  let proxy: FaultProxy
  let store: S3Store
  beforeAll(async () => {
    server = await startR2Server()
    proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
    store = storeWith(server, {
      endpoint: proxy.through(server.clientConfig.endpoint ?? ''),
      partBytes: PART,
    })
  })
  afterAll(async () => {
    await proxy.stop()
    await server.stop()
  })
  beforeEach(() => proxy.reset())

  it('is nothing when bytes are damaged on their way to a service that looks', async () => {
    proxy.inject({ match: ({ method }) => method === 'PUT', fault: { kind: 'flip-up', atByte: 9 } })
    expect(await failureOf(store.put('looks', Buffer.alloc(100_000)))).toMatchObject({ code: 'UNAVAILABLE' })
    expect(await store.head('looks')).toBe(null)
  })

  it('is removed again, and CORRUPT, when a service that does not look kept other bytes', async () => {
    const fauxqs = await startFauxqs()
    const careless = await startFaultProxy({ target: fauxqs.clientConfig.endpoint ?? '' })
    const client = {
      ...fauxqs.clientConfig,
      endpoint: careless.origin,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    } as const
    const other = storeWith(fauxqs, { client, partBytes: PART })
    try {
      for (const [key, body, skip] of [
        ['whole', Buffer.alloc(100_000), 0],
        ['parts', pieces(12), 1],
      ] as const) {
        careless.inject({
          match: ({ method }) => method === 'PUT',
          skip,
          fault: { kind: 'flip-up', atByte: 9 },
        })
        expect(await failureOf(other.put(key, body))).toMatchObject({ code: 'CORRUPT' })
        expect(await other.head(key)).toBe(null)
        careless.reset()
      }
    } finally {
      await careless.stop()
      await fauxqs.stop()
    }
  })

  it('is read back once where etags are no hashes, and then only measured', async () => {
    const other = storeWith(server, { endpoint: proxy.through(server.clientConfig.endpoint ?? '') })
    const etag = '"00000000000000000000000000000000"'
    proxy.inject({ times: 9, fault: { kind: 'headers', headers: { etag } } })
    await other.put('a', Buffer.from('first'))
    expect(proxy.requests.map(({ method }) => method)).toEqual(['PUT', 'GET'])
    await other.put('a', Buffer.from('second'))
    expect(proxy.requests.map(({ method }) => method)).toEqual(['PUT', 'GET', 'PUT', 'HEAD'])
  })

  it('is UNAVAILABLE when the connection breaks while it is read back', async () => {
    const describing = await startFaultProxy({ target: proxy.origin })
    const etag = '"00000000000000000000000000000000"'
    describing.inject({ times: 9, fault: { kind: 'headers', headers: { etag } } })
    proxy.inject({ match: ({ method }) => method === 'GET', fault: { kind: 'cut-down', afterBytes: 50_000 } })
    const other = storeWith(server, { endpoint: describing.through(server.clientConfig.endpoint ?? '') })
    const failure = await failureOf(other.put('a', Buffer.alloc(1_000_000, 1)))
    await describing.stop()
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', details: { key: 'a' } })
  })

  it('takes one request for a small body, and its time is that of the service', async () => {
    proxy.dateSkewMs = 5_000_000
    const info = await store.put('small', Buffer.from('x'))
    proxy.dateSkewMs = 0
    expect(proxy.requests.length).toBe(1)
    expect(info.modifiedAt.getTime() - Date.now()).toBeGreaterThan(4_900_000)
    expect(WorkspaceError.is(await failureOf(store.put('../x', Buffer.from('x'))), 'INVALID_INPUT')).toBe(
      true,
    )
  })
})

it.each([
  ['is not answered', false],
  ['is refused again and again', true],
])('the creation of an upload that nobody wants any more ends, also when it %s', async (_, isRefused) => {
  let requests = 0
  let open = 0
  const silent = createServer((request, response) => {
    request.resume()
    requests += 1
    open += 1
    response.on('close', () => (open -= 1))
    if (isRefused) response.writeHead(503).end()
  }).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const store = s3Store({
    bucket: 'bucket',
    conditions: 'enforced',
    client: {
      endpoint: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
      region: 'auto',
      maxAttempts: 1,
      credentials: { accessKeyId: 'access', secretAccessKey: 'secret' },
    },
    retry: { attempts: 1_000_000, sleep: () => new Promise((resolve) => setTimeout(resolve, 10)) },
  })
  const controller = new AbortController()
  const failure = failureOf(store.put('early', pieces(20), { signal: controller.signal }))
  await vi.waitFor(() => expect(requests).toBeGreaterThan(0))
  // Only for the timer that the abort itself sets.
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  controller.abort()
  vi.advanceTimersByTime(10_000)
  vi.useRealTimers()
  await failure
  await vi.waitFor(
    async () => {
      const before = requests
      await new Promise((resolve) => setTimeout(resolve, 200))
      expect([open, requests]).toEqual([0, before])
    },
    { timeout: 3_000 },
  )
  silent.closeAllConnections()
  silent.close()
})
