import { inspect } from 'node:util'
import { WorkspaceError, withRetry, type ObjectBody, type ObjectStore } from '@ws/core'
import {
  captivePortal,
  startFaultProxy,
  type FaultProxy,
  type GcsReaction,
  type GcsServer,
} from '@ws/test-servers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { gcsStore } from '../src/index.ts'
import { plainBucket, secrets, startSigningServer, tokenBucket } from './open-test-bucket.ts'

const MIB = 1_048_576
let server: GcsServer
let proxy: FaultProxy
let store: ObjectStore
let pauses: number[]
beforeEach(async () => {
  server = await startSigningServer()
  proxy = await startFaultProxy({ target: server.url })
  pauses = []
  store = gcsStore({ bucket: plainBucket(proxy.origin), retry: { attempts: 4, random: () => 1, sleep } })
})
afterEach(async () => {
  await proxy.stop()
  await server.stop()
})

const sleep = async (milliseconds: number): Promise<void> => void pauses.push(milliseconds)

async function* pieces(count: number, bytes = MIB): AsyncGenerator<Uint8Array> {
  for (let value = 1; value <= count; value += 1) yield new Uint8Array(bytes).fill(value)
}

async function read(key: string, from = store): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await from.get(key))?.body ?? []) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function failureOf(call: Promise<unknown>): Promise<WorkspaceError> {
  const error: unknown = await call.then(() => 'no failure').catch((reason: unknown) => reason)
  if (!WorkspaceError.is(error)) throw new Error(`not a WorkspaceError: ${inspect(error)}`)
  return error
}

/** Answers `times` requests of an operation in the service's place. */
function interceptNext(operation: string, reaction: GcsReaction, times = 1, skip = 0): void {
  let seen = 0
  server.intercept = (request) => {
    if (request.operation !== operation) return undefined
    seen += 1
    return seen > skip && seen <= skip + times ? reaction : undefined
  }
}

function whenCancelled(): Promise<void> {
  return new Promise((resolve) => {
    server.intercept = ({ operation }) => {
      // After the service has handled it.
      if (operation === 'upload.cancel') setImmediate(resolve)
      return undefined
    }
  })
}

const every: Readonly<Record<string, (from?: ObjectStore) => Promise<unknown>>> = {
  get: (from = store) => from.get('a'),
  'get of a range': (from = store) => from.get('a', { range: { start: 1, end: 2 } }),
  head: (from = store) => from.head('a'),
  put: (from = store) => from.put('a', Buffer.from('new')),
  'put of a long stream': (from = store) => from.put('a', pieces(20)),
  delete: (from = store) => from.delete('a'),
  list: (from = store) => from.list('')[Symbol.asyncIterator]().next(),
}

describe.each(Object.entries(every))('%s', (_, call) => {
  it.each([500, 502, 503, 504])('takes a %d for an outage', async (status) => {
    proxy.inject({ times: 99, fault: { kind: 'answer', status, body: '<html>down</html>' } })
    expect(await failureOf(call())).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
  })

  it('takes a connection that is reset for an outage', async () => {
    proxy.inject({ times: 99, fault: { kind: 'reset' } })
    expect(await failureOf(call())).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('takes a service that is gone for an outage', async () => {
    await proxy.stop()
    expect(await failureOf(call())).toMatchObject({ code: 'UNAVAILABLE', details: { errno: 'ECONNREFUSED' } })
  })

  it("takes a network's login page for an outage", async () => {
    proxy.inject({ times: 99, fault: captivePortal })
    const error = await failureOf(call())
    expect(error.code).toBe('UNAVAILABLE')
    expect(error.message).toContain('not from Google Cloud Storage')
  })

  it('takes the "not found" of something else for an outage', async () => {
    const body = '<html>404</html>'
    proxy.inject({
      times: 99,
      fault: { kind: 'answer', status: 404, headers: { 'content-type': 'text/html' }, body },
    })
    expect(await failureOf(call())).toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('ends at once when it is aborted while the service is silent', async () => {
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    // The request stays unanswered until the proxy ends.
    proxy.inject({
      times: 99,
      fault: { kind: 'hold', until: () => (controller.abort(reason), new Promise(() => {})) },
    })
    const { signal } = controller
    const aborted: ObjectStore = {
      ...store,
      get: (key, options) => store.get(key, { ...options, signal }),
      head: (key) => store.head(key, { signal }),
      put: (key, body) => store.put(key, body, { signal }),
      delete: (key) => store.delete(key, { signal }),
      list: (prefix) => store.list(prefix, { signal }),
    }
    await expect(call(aborted)).rejects.toBe(reason)
    expect(server.names('bucket')).toEqual([])
  })

  it('tells nobody the credentials that were refused', async () => {
    const guarded = await startSigningServer({ tokens: { other: 'write', [secrets[0]]: 'nothing' } })
    try {
      for (const token of [secrets[0], 'secret-access-token-2']) {
        const error = await failureOf(call(gcsStore({ bucket: tokenBucket(guarded.url, token) })))
        expect(error).toMatchObject({ code: 'ACCESS_DENIED', retryable: false })
        expect(inspect(error, { depth: 20, showHidden: true, getters: true })).not.toMatch(/secret-/)
      }
    } finally {
      await guarded.stop()
    }
  })
})

it('takes its credentials from the bucket, and tells reading from writing', async () => {
  const guarded = await startSigningServer({ tokens: { [secrets[0]]: 'write', reader: 'read' } })
  try {
    await gcsStore({ bucket: tokenBucket(guarded.url) }).put('a', Buffer.from('x'))
    const reader = gcsStore({ bucket: tokenBucket(guarded.url, 'reader') })
    expect((await read('a', reader)).toString()).toBe('x')
    expect(await reader.head('never')).toBeNull()
    for (const call of [
      () => reader.put('a', Buffer.from('y')),
      () => reader.put('b', pieces(20)),
      () => reader.delete('a'),
    ])
      expect(await failureOf(call())).toMatchObject({ code: 'ACCESS_DENIED' })
    expect(guarded.names('bucket')).toEqual(['a'])
  } finally {
    await guarded.stop()
  }
})

it('says what to do when there are no credentials', async () => {
  const bucket = tokenBucket(server.url)
  bucket.storage.authClient.getRequestHeaders = () =>
    Promise.reject(new Error('Could not load the default credentials: secret-refresh-token'))
  const error = await failureOf(gcsStore({ bucket }).head('a'))
  expect(error.code).toBe('ACCESS_DENIED')
  expect(inspect(error, { depth: 20, showHidden: true })).not.toContain('secret-')
})

describe('a change that the service refuses with 429', () => {
  it('is made again after growing pauses, also with a condition', async () => {
    server.refuseMutations('a', 3)
    const { etag } = await store.put('a', Buffer.from('x'), { ifAbsent: true })
    expect(pauses).toEqual([500, 1_000, 2_000])
    server.refuseMutations('a', 1)
    await store.put('a', pieces(20), { ifMatch: etag })
    server.refuseMutations('a', 1)
    await store.put('a', pieces(1))
    expect(pauses).toHaveLength(5)
  })

  it('rejects with UNAVAILABLE when that does not end', async () => {
    server.refuseMutations('a', 99)
    expect(await failureOf(store.put('a', Buffer.from('x'), { ifAbsent: true }))).toMatchObject({
      code: 'UNAVAILABLE',
      details: { status: 429 },
    })
    expect(pauses).toHaveLength(3)
  })

  it('waits no longer when it is aborted', async () => {
    server.refuseMutations('a', 99)
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    const waiting = gcsStore({
      bucket: plainBucket(server.url),
      retry: { sleep: async () => controller.abort(reason) },
    })
    const { signal } = controller
    await expect(waiting.put('a', pieces(1), { signal })).rejects.toBe(reason)
  })
})

it.each(['get', 'get of a range', 'head', 'put', 'delete', 'list'])(
  'what can be repeated above is not repeated here after 429: %s',
  async (name) => {
    await store.put('a', Buffer.from('abc'))
    proxy.reset()
    proxy.inject({ times: 99, fault: { kind: 'answer', status: 429 } })
    const waited: number[] = []
    const retry = { random: () => 0, sleep: async (milliseconds: number) => void waited.push(milliseconds) }
    await failureOf(every[name]?.(withRetry(store, retry)) ?? expect.fail())
    // Both answers of a read are asked for at once.
    expect(proxy.requests.length).toBeLessThanOrEqual(name.startsWith('get') ? 10 : 5)
    expect(pauses).toEqual([])
    expect(waited).toEqual([1_000, 1_000, 1_000, 1_000])
  },
)

describe('an upload in parts', () => {
  const bytes = async (body: ObjectBody): Promise<Buffer> =>
    Buffer.concat(await Array.fromAsync(body as AsyncIterable<Uint8Array>))

  it.each([
    ['resets the connection', { kind: 'cut-up', afterBytes: 5 * MIB }],
    ['loses an answer', { kind: 'reset-after' }],
    ['answers 503', { kind: 'answer', status: 503 }],
  ] as const)('goes on where the service has got to when a part %s', async (_what, fault) => {
    const whole = await bytes(pieces(17))
    for (const skip of [0, 1, 2]) {
      proxy.reset()
      proxy.inject({ match: ({ method }) => method === 'PUT', skip, fault })
      const info = await store.put(`resumed-${skip}`, pieces(17), { ifAbsent: true })
      expect(info.size).toBe(17 * MIB)
      expect((await read(`resumed-${skip}`)).equals(whole)).toBe(true)
    }
    expect(server.openUploads()).toBe(0)
  })

  it.each([
    ['one request', 'up to 32 MiB', 32 * MIB, 1],
    ['parts', 'of more', 32 * MIB + 1, 6],
  ])('takes %s for an array %s', async (_how, _what, size, requests) => {
    const body = Buffer.alloc(size, 'some bytes that repeat at an odd distance')
    const info = await store.put('array', body, { ifAbsent: true })
    expect(info.size).toBe(size)
    expect(proxy.requests.filter(({ method }) => method === 'POST' || method === 'PUT')).toHaveLength(
      requests,
    )
    expect((await read('array')).equals(body)).toBe(true)
  })

  it('that is aborted while it begins is cancelled once it has begun', async () => {
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    proxy.inject({
      match: ({ url }) => url.includes('uploadType=resumable'),
      fault: { kind: 'hold', until: async () => controller.abort(reason) },
    })
    await expect(store.put('a', pieces(17), { signal: controller.signal })).rejects.toBe(reason)
    const cancelled = (): boolean =>
      proxy.requests.some((seen) => seen.method === 'DELETE' && seen.status > 0)
    await vi.waitFor(() => expect([cancelled(), server.openUploads()]).toEqual([true, 0]), 10_000)
  })

  it('sends nothing twice that the service has', async () => {
    proxy.inject({ match: ({ method }) => method === 'PUT', skip: 1, fault: { kind: 'reset-after' } })
    await store.put('a', pieces(20))
    const sent = proxy.requests
      .filter(({ method }) => method === 'PUT')
      .reduce((sum, { bytesUp }) => sum + bytesUp, 0)
    expect(sent).toBe(20 * MIB)
  })

  it('gives up after so many attempts, and cancels itself', async () => {
    const cancelled = whenCancelled()
    proxy.inject({
      match: ({ method }) => method === 'PUT',
      times: 99,
      fault: { kind: 'answer', status: 503 },
    })
    expect(await failureOf(store.put('a', pieces(20)))).toMatchObject({ code: 'UNAVAILABLE' })
    await cancelled
    expect([server.openUploads(), server.names('bucket')]).toEqual([0, []])
  })

  it('is cancelled when its source fails, with the error of the source', async () => {
    const cancelled = whenCancelled()
    const failure = new Error('the source broke')
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* pieces(20)
      throw failure
    }
    await expect(store.put('a', source())).rejects.toBe(failure)
    await cancelled
    expect([server.openUploads(), server.names('bucket')]).toEqual([0, []])
  })

  it('is cancelled when it is aborted in the middle of a part', async () => {
    const cancelled = whenCancelled()
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    proxy.inject({
      match: ({ method }) => method === 'PUT',
      skip: 1,
      fault: { kind: 'hold', until: () => (controller.abort(reason), new Promise(() => {})) },
    })
    await expect(store.put('a', pieces(20), { signal: controller.signal })).rejects.toBe(reason)
    await cancelled
    expect([server.openUploads(), server.names('bucket')]).toEqual([0, []])
  })

  it('starts anew for the caller when the service has forgotten it', async () => {
    interceptNext(
      'upload.part',
      { status: 404, reason: 'notFound', message: 'No such upload session.' },
      1,
      1,
    )
    expect(await failureOf(store.put('a', pieces(20)))).toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('bytes that change on their way', () => {
  it.each([
    ['one request', 1],
    ['parts', 20],
  ])('up, in %s: are refused by the service, and nothing is stored', async (_, count) => {
    proxy.inject({
      match: ({ method, bytesUp }) => method === (count === 1 ? 'POST' : 'PUT') && bytesUp === 0,
      fault: { kind: 'flip-up', atByte: MIB / 2 },
    })
    expect(await failureOf(store.put('a', pieces(Number(count))))).toMatchObject({ code: 'CORRUPT' })
    expect(server.names('bucket')).toEqual([])
  })

  it('down: are CORRUPT at the end of the body', async () => {
    await store.put('a', pieces(2))
    proxy.inject({
      match: ({ url }) => url.includes('alt=media'),
      fault: { kind: 'flip-down', atByte: 1_000 },
    })
    expect(await failureOf(read('a'))).toMatchObject({ code: 'CORRUPT' })
  })

  it('down: are packed by nobody but the writer', async () => {
    await store.put('a', pieces(2))
    const packed = { 'content-encoding': 'gzip', 'x-goog-stored-content-encoding': 'identity' }
    proxy.inject({
      match: ({ url }) => url.includes('alt=media'),
      fault: { kind: 'headers', headers: packed },
    })
    expect(await failureOf(store.get('a'))).toMatchObject({ code: 'UNAVAILABLE' })
    proxy.reset()
    proxy.inject({
      match: ({ url }) => url.includes('alt=media'),
      fault: { kind: 'headers', headers: { ...packed, 'x-goog-stored-content-encoding': 'gzip' } },
    })
    expect((await read('a')).length).toBe(2 * MIB)
  })

  it('in the service: are CORRUPT at the end of the body', async () => {
    await store.put('a', pieces(2))
    server.damage('bucket', 'a')
    expect(await failureOf(read('a'))).toMatchObject({ code: 'CORRUPT' })
  })
})

describe('a download that ends early', () => {
  beforeEach(async () => {
    await store.put('a', pieces(6))
  })
  const media = ({ url }: { url: string }): boolean => url.includes('alt=media')

  it.each([
    ['is cut', { kind: 'cut-down', afterBytes: 2 * MIB }],
    ['says that it is shorter', { kind: 'shorten', toBytes: 2 * MIB }],
  ] as const)('because it %s is UNAVAILABLE, and goes on with retries', async (_, fault) => {
    proxy.inject({ match: media, fault })
    expect(await failureOf(read('a'))).toMatchObject({ code: 'UNAVAILABLE' })
    proxy.reset()
    proxy.inject({ match: media, fault })
    const whole = await read('a', withRetry(store, { sleep: async () => undefined }))
    expect(whole.length).toBe(6 * MIB)
    expect(proxy.requests.filter(media)).toHaveLength(2)
  })

  it('is compared with its checksum when it goes on', async () => {
    proxy.inject({ match: ({ headers }) => 'range' in headers, fault: { kind: 'flip-down', atByte: 1_000 } })
    proxy.inject({ match: media, fault: { kind: 'cut-down', afterBytes: 2 * MIB } })
    const patient = withRetry(store, { sleep: async () => undefined })
    expect(await failureOf(read('a', patient))).toMatchObject({ code: 'CORRUPT' })
  })

  it('because the service ignores the range is no success', async () => {
    proxy.inject({ match: media, fault: { kind: 'request-headers', headers: { range: null } } })
    expect(await failureOf(store.get('a', { range: { start: 5, end: 10 } }))).toMatchObject({
      code: 'UNAVAILABLE',
    })
  })
})

describe('the description of an object', () => {
  it('is asked for once by a reader of many ranges', async () => {
    await store.put('a', pieces(3), { metadata: { made: 'once' } })
    proxy.reset()
    for (let start = 0; start < 10; start += 1) {
      const found = await store.get('a', { range: { start, end: start + 1 } })
      await found?.discard()
      expect(found?.info.metadata).toEqual({ made: 'once' })
    }
    expect(proxy.requests).toHaveLength(11)
  })

  it('belongs to the bytes when the object is replaced between the two answers', async () => {
    await store.put('a', Buffer.from('old'), { metadata: { of: 'old' } })
    await (await store.get('a'))?.discard()
    await store.put('a', Buffer.from('other'), { metadata: { of: 'other' } })
    const found = await store.get('a')
    expect([found?.info.metadata, found?.info.size]).toEqual([{ of: 'other' }, 5])
    await found?.discard()
  })

  it('is not believed of an object that is gone', async () => {
    await store.put('a', Buffer.from('old'))
    await (await store.get('a'))?.discard()
    await store.delete('a')
    expect(await store.get('a')).toBeNull()
  })
})

it.each([
  [403, 'retentionPolicyNotMet', 'ACCESS_DENIED'],
  [403, 'quotaExceeded', 'QUOTA_EXCEEDED'],
  [403, 'userRateLimitExceeded', 'UNAVAILABLE'],
  [400, 'invalid', 'INVALID_INPUT'],
  [413, 'uploadTooLarge', 'QUOTA_EXCEEDED'],
  [408, 'backendError', 'TIMEOUT'],
  [418, 'teapot', 'UNAVAILABLE'],
] as const)('a %d with the reason %s is %s', async (status, reason, code) => {
  interceptNext('object.insert', { status, reason, message: 'The service says so.' })
  expect(await failureOf(store.put('a', Buffer.from('x')))).toMatchObject({
    code,
    details: { status, reason },
  })
  expect(server.names('bucket')).toEqual([])
})
