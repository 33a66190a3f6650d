import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { WorkspaceError, type ErrorCode, type ObjectStore, type PutOptions } from '@ws/core'
import {
  captivePortal,
  startFaultProxy,
  startR2Server,
  type FaultProxy,
  type S3TestServer,
} from '@ws/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { s3Store, type S3StoreOptions } from '../src/index.ts'
import { storeWith } from './open-fixtures.ts'

let server: S3TestServer
let proxy: FaultProxy
let store: ObjectStore
beforeAll(async () => {
  server = await startR2Server()
  proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
  store = storeWith(server, { endpoint: proxy.through(server.clientConfig.endpoint ?? '') })
  await store.put('a', Buffer.from('content'))
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
})
beforeEach(() => proxy.reset())

const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  get: async (each) => {
    const found = await each.get('a')
    for await (const _ of found?.body ?? []);
    return found
  },
  head: (each) => each.head('a'),
  put: (each) => each.put('a', Buffer.from('new')),
  delete: (each) => each.delete('a'),
  list: async (each) => {
    for await (const _ of each.list(''));
  },
}

async function failureOf(call: Promise<unknown>): Promise<WorkspaceError> {
  const failure = await call.then(
    (value) => expect.fail(`gave ${inspect(value)}`),
    (error: unknown) => error,
  )
  if (!WorkspaceError.is(failure)) throw failure
  return failure
}

/** Lets every request be answered so. */
function answerAll(status: number, code: string, more = '', headers: Record<string, string> = {}): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>in the service's words</Message>${more}</Error>`
  proxy.inject({
    times: Number.POSITIVE_INFINITY,
    fault: { kind: 'answer', status, headers: { 'content-type': 'application/xml', ...headers }, body },
  })
}

const refusals: readonly (readonly [number, string, ErrorCode, RegExp])[] = [
  [403, 'InvalidAccessKeyId', 'ACCESS_DENIED', /check the credentials/],
  [403, 'SignatureDoesNotMatch', 'ACCESS_DENIED', /check the credentials/],
  [400, 'ExpiredToken', 'ACCESS_DENIED', /expired; get new ones/],
  [403, 'AccessDenied', 'ACCESS_DENIED', /compare their policy/],
  [403, 'RequestTimeTooSkewed', 'ACCESS_DENIED', /set the clock/],
  [404, 'NoSuchBucket', 'NOT_FOUND', /create it, or correct its name/],
  [403, 'ObjectLocked', 'ACCESS_DENIED', /object lock/],
  [409, 'ObjectLockedByBucketPolicy', 'ACCESS_DENIED', /object lock/],
  [403, 'InvalidObjectState', 'UNSUPPORTED', /restore it first/],
  [403, 'QuotaExceeded', 'QUOTA_EXCEEDED', /free space or raise it/],
  [507, 'XMinioStorageFull', 'QUOTA_EXCEEDED', /free space or raise it/],
  [400, 'EntityTooLarge', 'QUOTA_EXCEEDED', /takes no object or part of this size/],
  [400, 'KeyTooLongError', 'INVALID_INPUT', /use a shorter key/],
  [400, 'MetadataTooLarge', 'INVALID_INPUT', /give less/],
  [400, 'BadDigest', 'UNAVAILABLE', /damaged on the way/],
  [400, 'XAmzContentSHA256Mismatch', 'UNAVAILABLE', /damaged on the way/],
  [400, 'RequestTimeout', 'TIMEOUT', /try again/],
  [501, 'NotImplemented', 'UNSUPPORTED', /probe\(\)/],
  [503, 'SlowDown', 'UNAVAILABLE', /try again later/],
  [429, 'TooManyRequests', 'UNAVAILABLE', /try again later/],
  [500, 'InternalError', 'UNAVAILABLE', /try again/],
  [400, 'SomethingNew', 'INVALID_INPUT', /"in the service's words"/],
]

describe('what a service refuses', () => {
  it.each(refusals)('%i %s is %s, with what to do', async (status, service, code, advice) => {
    answerAll(status, service)
    for (const call of Object.values(calls)) {
      const failure = await failureOf(call(store))
      expect(failure).toMatchObject({ code, details: { bucket: server.bucket, service, status } })
      expect(failure.message).toMatch(advice)
      expect(failure.message).toContain(service)
    }
  })

  it.each([
    [301, 'PermanentRedirect', ''],
    [400, 'AuthorizationHeaderMalformed', '<Region>eu-central-1</Region>'],
    [400, 'IllegalLocationConstraintException', ''],
  ])('%i %s is a wrong region, and the message names the right one', async (status, service, more) => {
    answerAll(status, service, more, { 'x-amz-bucket-region': 'eu-central-1' })
    for (const call of Object.values(calls)) {
      const failure = await failureOf(call(store))
      expect(failure.code).toBe('INVALID_INPUT')
      expect(failure.message).toContain('open the store with region "eu-central-1"')
      expect(failure.details['region']).toBe('eu-central-1')
    }
  })

  it('tells an object lock from other denials by the words of the service', async () => {
    proxy.inject({
      fault: {
        kind: 'answer',
        status: 403,
        headers: { 'content-type': 'application/xml' },
        body: '<Error><Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.</Message></Error>',
      },
    })
    const failure = await failureOf(store.delete('a'))
    expect(failure.code).toBe('ACCESS_DENIED')
    expect(failure.message).toContain('an object lock protects what is stored')
  })

  it('takes the bucket lock of R2 over a put if absent for what it shows: that the key is taken', async () => {
    answerAll(409, 'ObjectLockedByBucketPolicy')
    const put = (options: PutOptions) => failureOf(store.put('a', Buffer.from('x'), options))
    expect((await put({ ifAbsent: true })).code).toBe('CONFLICT')
    expect((await put({ ifMatch: '"etag"' })).code).toBe('ACCESS_DENIED')
    expect((await put({})).code).toBe('ACCESS_DENIED')
  })

  it('passes on how long the service asks to wait', async () => {
    answerAll(503, 'SlowDown', '', { 'retry-after': '7' })
    expect((await failureOf(store.put('a', Buffer.from('x')))).details['retryAfterMs']).toBe(7_000)
  })
})

describe('what is not absence', () => {
  it('a 404 that no S3 service writes is UNAVAILABLE for every call', async () => {
    for (const body of ['', 'not found', '<html><body>404</body></html>', '{"error":"not found"}']) {
      proxy.reset()
      proxy.inject({ times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', status: 404, body } })
      for (const call of Object.values(calls))
        expect(await failureOf(call(store))).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    }
  })

  it('the page of a network that wants a sign-in is named as what it is', async () => {
    proxy.inject({ times: Number.POSITIVE_INFINITY, fault: captivePortal })
    for (const call of Object.values(calls))
      expect((await failureOf(call(store))).message).toContain('a network that wants a sign-in')
  })

  it('a missing key is null for get and head, and a delete of it succeeds', async () => {
    expect(await store.get('never')).toBe(null)
    expect(await store.head('never')).toBe(null)
    await store.delete('never')
  })

  it('an object that is there but empty is no missing key', async () => {
    await store.put('empty', Buffer.alloc(0))
    proxy.inject({ match: ({ method }) => method === 'HEAD', fault: { kind: 'answer', status: 404 } })
    expect(await store.head('empty')).toMatchObject({ size: 0 })
  })

  it.each([
    ['ECONNREFUSED', 'http://127.0.0.1:9', 'check it, and whether the service runs'],
    ['ENOTFOUND', 'http://no-such-host.invalid', 'check the address, a region in it, and the network'],
  ])('%s is UNAVAILABLE', async (_, endpoint, advice) => {
    for (const call of Object.values(calls)) {
      const failure = await failureOf(call(storeWith(server, { endpoint })))
      expect(failure.code).toBe('UNAVAILABLE')
      expect(failure.message).toContain(advice)
    }
  })

  it('a connection that breaks before or after the work of the service is UNAVAILABLE', async () => {
    for (const kind of ['reset', 'reset-after'] as const) {
      proxy.reset()
      proxy.inject({ times: Number.POSITIVE_INFINITY, fault: { kind } })
      for (const call of [calls['get'], calls['head'], calls['put'], calls['list']])
        expect((await failureOf(call?.(store) ?? Promise.resolve())).code).toBe('UNAVAILABLE')
    }
    proxy.reset()
    await store.put('a', Buffer.from('content'))
  })

  it('a connection that breaks while a silent refusal is looked into is UNAVAILABLE', async () => {
    proxy.inject({ match: ({ method }) => method === 'HEAD', fault: { kind: 'answer', status: 503 } })
    proxy.inject({ match: ({ method }) => method === 'GET', fault: { kind: 'cut-down', afterBytes: 0 } })
    expect(await failureOf(store.head('a'))).toMatchObject({ code: 'UNAVAILABLE', details: { key: 'a' } })
    expect(proxy.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET'])
  })

  it('a service that is silent for longer than the client waits is TIMEOUT', async () => {
    proxy.inject({
      times: Number.POSITIVE_INFINITY,
      fault: { kind: 'hold', until: () => new Promise(() => undefined) },
    })
    const impatient = storeAt({ requestHandler: { socketTimeout: 50 } })
    for (const call of Object.values(calls)) expect((await failureOf(call(impatient))).code).toBe('TIMEOUT')
  })
})

describe('what a read brings', () => {
  it('a body that is longer or shorter than announced, and a list of nothing, are errors', async () => {
    const isGet = ({ method }: { method: string }): boolean => method === 'GET'
    for (const length of ['3', '70']) {
      proxy.inject({ match: isGet, fault: { kind: 'headers', headers: { 'content-length': length } } })
      const failure = await failureOf(calls['get']?.(store) ?? Promise.resolve())
      expect(['UNAVAILABLE', 'CORRUPT']).toContain(failure.code)
      proxy.reset()
    }
    proxy.inject({ match: isGet, fault: { kind: 'shorten', toBytes: 3 } })
    expect((await failureOf(calls['get']?.(store) ?? Promise.resolve())).code).toBe('CORRUPT')
  })

  it('a range that comes short, with headers that agree, is UNAVAILABLE', async () => {
    proxy.inject({ fault: { kind: 'shorten', toBytes: 2 } })
    const found = await store.get('a', { range: { start: 1, end: 6 } })
    const read = async (): Promise<void> => {
      for await (const _ of found?.body ?? []);
    }
    expect((await failureOf(read())).code).toBe('UNAVAILABLE')
  })

  it('a range that the service ignores is UNSUPPORTED, and no byte of it is given out', async () => {
    proxy.inject({
      fault: {
        kind: 'answer',
        status: 200,
        headers: { etag: '"x"', 'last-modified': 'Wed, 25 Nov 2026 12:00:00 GMT' },
        body: 'content',
      },
    })
    const failure = await failureOf(store.get('a', { range: { start: 1, end: 3 } }))
    expect(failure.code).toBe('UNSUPPORTED')
  })

  it('an object that was packed on its way is UNAVAILABLE, and one that is stored so comes as it is', async () => {
    const headers = { 'content-encoding': 'gzip' }
    proxy.inject({ match: ({ method }) => method === 'GET', fault: { kind: 'headers', headers } })
    expect(await failureOf(store.get('a'))).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    proxy.reset()
    proxy.inject({ times: 2, fault: { kind: 'headers', headers } })
    await calls['get']?.(store)
  })

  it('a checksum that the service keeps and the bytes do not have is CORRUPT', async () => {
    proxy.inject({ fault: { kind: 'headers', headers: { 'x-amz-checksum-crc32': 'AAAAAA==' } } })
    const checking = storeAt({ responseChecksumValidation: 'WHEN_SUPPORTED' })
    expect((await failureOf(calls['get']?.(checking) ?? Promise.resolve())).code).toBe('CORRUPT')
  })

  it('an etag that is no hash of the object, with keys of KMS, is left alone', async () => {
    proxy.inject({
      fault: {
        kind: 'headers',
        headers: { etag: '"0123456789abcdef0123456789abcdef"', 'x-amz-server-side-encryption': 'aws:kms' },
      },
    })
    await calls['get']?.(store)
  })
})

describe('secrets', () => {
  const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
  const token = 'FwoGZXIvYXdzEBYaDHqa0AP=/token+with/signs'
  const access = 'AKIAIOSFODNN7EXAMPLE'
  const signature = 'fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024'

  it('stand nowhere in an error, though the service repeats all that it was sent', async () => {
    const echoed = [access, token, signature, secret].join(' ')
    const more = `<AWSAccessKeyId>${access}</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 ${echoed}</StringToSign>
      <SignatureProvided>${signature}</SignatureProvided><CanonicalRequest>x-amz-security-token:${token}</CanonicalRequest>`
    const credentials = { accessKeyId: access, secretAccessKey: secret, sessionToken: token }
    const leaky = storeAt({ credentials })
    const words = `<Message>Signature=${signature}, token ${token}, key ${access}, ${encodeURIComponent(secret)} and ${secret}</Message>`
    for (const [status, code] of [
      [403, 'SignatureDoesNotMatch'],
      [400, 'Unknown'],
      [500, 'InternalError'],
    ] as const) {
      // prettier-ignore
      proxy.reset()
      proxy.inject({
        times: Number.POSITIVE_INFINITY,
        fault: {
          kind: 'answer',
          status,
          headers: { 'content-type': 'application/xml' },
          body: `<Error><Code>${code}</Code>${words}${more}</Error>`,
        },
      })
      for (const call of Object.values(calls)) assertNoSecret(await failureOf(call(leaky)))
    }
    proxy.reset()
    proxy.inject({
      times: Number.POSITIVE_INFINITY,
      fault: {
        kind: 'answer',
        status: 502,
        body: `<html>${echoed} https://a/?X-Amz-Signature=${signature}</html>`,
      },
    })
    for (const call of Object.values(calls)) assertNoSecret(await failureOf(call(leaky)))
  })

  function assertNoSecret(failure: WorkspaceError): void {
    const everything =
      inspect(failure, { depth: Number.POSITIVE_INFINITY, showHidden: true }) +
      JSON.stringify(failure) +
      String((failure.cause as Error | undefined)?.stack)
    for (const hidden of [secret, encodeURIComponent(secret), token, access, signature, 'FwoGZX', 'wJalrX'])
      expect(everything).not.toContain(hidden)
  }
})

it.each(['localhost:9000', '127.0.0.1:9000', 'no url'])('an endpoint such as %s is refused by each call, which says how one begins', async (endpoint) => {
  for (const [name, call] of Object.entries(calls)) {
    const failure = await failureOf(call(storeAt({ endpoint })))
    expect([name, failure.code]).toEqual([name, 'INVALID_INPUT'])
    expect(failure.message).toContain('begins with http:// or https://')
  }
}) // prettier-ignore

it.each([
  ['list', 200, 'UNAVAILABLE'],
  ['get', 403, 'ACCESS_DENIED'],
] as const)('an answer without end is not read for ever: %s, %d', async (name, statusCode, code) => {
  const body = Readable.from(pieces(100))
  const handle = async () => ({ response: { statusCode, headers: {}, body } })
  const failure = await failureOf(calls[name]?.(storeAt({ requestHandler: { handle } })) ?? expect.fail())
  expect(failure).toMatchObject({ code, details: { bucket: server.bucket } })
  expect(body).toMatchObject({ destroyed: true, readableEnded: false })
})

it.each(['get', 'head', 'put', 'list', 'delete', 'signedUrl'])(
  'credentials that never come are waited for no longer than the signal says: %s',
  async (name) => {
    const controller = new AbortController()
    const reason = new Error('the caller had enough')
    const waiting = storeAt({
      credentials: () => {
        setImmediate(() => controller.abort(reason))
        return new Promise<never>(() => undefined)
      },
    })
    const { signal } = controller
    const call: Readonly<Record<string, () => Promise<unknown>>> = {
      get: () => waiting.get('a', { signal }),
      head: () => waiting.head('a', { signal }),
      put: () => waiting.put('a', Buffer.from('x'), { signal }),
      list: () => Array.fromAsync(waiting.list('', { signal })),
      delete: () => waiting.delete('a', { signal }),
      signedUrl: async () => waiting.signedUrl?.('a', { method: 'GET', signal }),
    }
    await expect(call[name]?.()).rejects.toBe(reason)
  },
)

it('credentials without a secret are named', async () => {
  const credentials = async () => ({ accessKeyId: 'a' }) as { accessKeyId: string; secretAccessKey: string }
  for (const call of Object.values(calls))
    expect(await failureOf(call(storeAt({ credentials })))).toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringContaining('no secretAccessKey') as string,
    })
})

function* pieces(count: number): Generator<Uint8Array> {
  const piece = Buffer.alloc(1_048_576, ' ')
  for (let index = 0; index < count; index += 1) yield piece
}

function storeAt(config: S3StoreOptions['client']): ObjectStore {
  return s3Store({
    bucket: server.bucket,
    client: {
      ...server.clientConfig,
      maxAttempts: 1,
      endpoint: proxy.through(server.clientConfig.endpoint ?? ''),
      ...(config as object),
    },
    conditions: 'enforced',
  })
}
