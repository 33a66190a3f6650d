import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  BlobSASPermissions,
  ContainerClient,
  StorageSharedKeyCredential,
  generateBlobSASQueryParameters,
  newPipeline,
} from '@azure/storage-blob'
import { WorkspaceError, withRetry, type ObjectStore } from '@ws/core'
import { afterAll, describe, expect, it } from 'vitest'
import { azureStore } from '../src/index.ts'
import { openTestContainer } from './open-test-container.ts'
import { storeAt as openAt, storeBehind as openBehind } from './store-behind.ts'

const test = await openTestContainer()
afterAll(() => test.remove())

const oneTry = { retryOptions: { maxTries: 1 } }

const storeAt = (url: string, credential = test.credential): ObjectStore => openAt(url, credential)
const storeBehind = (listener: RequestListener): Promise<ObjectStore> => openBehind(listener, test.credential)

const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  get: async (store) => {
    const found = await store.get('a')
    for await (const _ of found?.body ?? []);
    return found
  },
  head: (store) => store.head('a'),
  put: (store) => store.put('a', Buffer.from('x')),
  'put of a long stream': (store) =>
    store.put('a', (async function* () { for (let i = 0; i < 9; i += 1) yield Buffer.alloc(1_048_576) })()), // prettier-ignore
  delete: (store) => store.delete('a'),
  list: async (store) => {
    for await (const _ of store.list(''));
  },
}

async function failuresOf(store: ObjectStore, only = Object.keys(calls)): Promise<WorkspaceError[]> {
  const failures: WorkspaceError[] = []
  for (const name of only) {
    const failure = await calls[name]?.(store).then(
      (value) => expect.fail(`${name} gave ${JSON.stringify(value)}`),
      (error: unknown) => error,
    )
    if (!WorkspaceError.is(failure)) throw failure
    failures.push(failure)
  }
  return failures
}

it.each([
  ['http://127.0.0.1:9/account/container', 'ECONNREFUSED', 'check it, and whether the service runs'],
  [
    'http://no-such-host.invalid/container',
    'ENOTFOUND',
    'check the address, a region in it, and the network',
  ],
])('says what is wrong with the address %s', async (url, errno, advice) => {
  await expect(storeAt(url).head('a')).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(new RegExp(`^Cannot read "a" in Azure: .*; ${advice} \\(${errno}\\)\\.$`)),
    details: { errno },
  })
})

describe('on the service', () => {
  it('a missing container is NOT_FOUND for every call, never absence', async () => {
    const failures = await failuresOf(storeAt(`${test.container.url}-missing`))
    const missing = `the container "${test.container.containerName}-missing" does not exist; create it`
    for (const { code, message } of failures) {
      expect(code).toBe('NOT_FOUND')
      expect(message).toContain(missing)
    }
  })

  it('a wrong key is ACCESS_DENIED, and no message holds it', async () => {
    const wrong = randomBytes(64).toString('base64')
    const credential = new StorageSharedKeyCredential(test.credential.accountName, wrong)
    for (const failure of await failuresOf(storeAt(test.container.url, credential))) {
      expect(failure.code).toBe('ACCESS_DENIED')
      expect(JSON.stringify(failure) + failure.message).not.toContain(wrong.slice(0, 12))
    }
  })

  it.each([
    ['a signature that only reads', 'r', 60_000, ['put', 'put of a long stream', 'delete']],
    ['a signature that has expired', 'racwdl', -60_000, Object.keys(calls)],
  ])('%s is ACCESS_DENIED, and no message holds it', async (_, permissions, expiresInMs, refused) => {
    const query = generateBlobSASQueryParameters(
      {
        containerName: test.container.containerName,
        permissions: BlobSASPermissions.parse(permissions.replace('l', '')),
        expiresOn: new Date(Date.now() + expiresInMs),
      },
      test.credential,
    )
    const container = new ContainerClient(
      `${test.container.url}?${query.toString()}`,
      newPipeline(undefined, oneTry),
    )
    for (const failure of await failuresOf(azureStore({ container }), refused)) {
      expect(failure.code).toBe('ACCESS_DENIED')
      expect(failure.message).toMatch(/check the|grant/)
      expect(JSON.stringify(failure) + failure.message).not.toContain(
        query.toString().split('sig=')[1]?.slice(0, 8),
      )
    }
  })

  it('a lease of somebody else is BUSY', async () => {
    const blob = test.container.getBlockBlobClient('leased')
    await blob.upload('x', 1)
    const lease = blob.getBlobLeaseClient()
    await lease.acquireLease(15)
    const store = azureStore({ container: test.container })
    await expect(store.put('leased', Buffer.from('y'))).rejects.toMatchObject({ code: 'BUSY' })
    await expect(store.delete('leased')).rejects.toMatchObject({ code: 'BUSY' })
    await expect(store.put('leased', Buffer.from('y'), { ifMatch: 'x' })).rejects.toBeInstanceOf(Error)
    await lease.releaseLease()
  })

  it('a blob of another type that is in the way is UNSUPPORTED', async () => {
    await test.container.getPageBlobClient('pages').create(512)
    const long = azureStore({ container: test.container, blockBytes: 1_000 })
    const put = long.put('pages', (async function* () { yield Buffer.alloc(3_000) })()) // prettier-ignore
    await expect(put).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})

describe('with something else in the place of the service', () => {
  it('a connection that is refused is UNAVAILABLE', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    for (const failure of await failuresOf(storeAt(`http://127.0.0.1:${port}/account/container`)))
      expect(failure).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
  })

  it.each([
    ['the login page of a network', 200, {}],
    ['a proxy that knows no such host', 404, {}],
    ['a gateway that fails', 502, {}],
  ])('%s is UNAVAILABLE for every call, never absence and never an object', async (_, status, headers) => {
    const store = await storeBehind((request, response) => {
      request.resume()
      response.writeHead(status, { 'content-type': 'text/html', etag: '"x"', ...headers })
      response.end('<html>Sign in</html>')
    })
    for (const failure of await failuresOf(store)) expect(failure.code).toBe('UNAVAILABLE')
  })

  it('a busy service is UNAVAILABLE and tells when to come again', async () => {
    const store = await storeBehind((request, response) => {
      request.resume()
      response.writeHead(503, { 'x-ms-error-code': 'ServerBusy', 'retry-after': '7' })
      response.end()
    })
    for (const failure of await failuresOf(store))
      expect(failure).toMatchObject({ code: 'UNAVAILABLE', details: { retryAfterMs: 7_000 } })
  })

  const answer = { etag: '"1"', 'last-modified': new Date(0).toUTCString(), 'x-ms-request-id': 'r' }

  it('a download that is cut short is UNAVAILABLE', async () => {
    const store = await storeBehind((_, response) => {
      response.writeHead(200, { ...answer, 'content-length': '10' })
      response.write('short')
      setImmediate(() => response.destroy())
    })
    const [failure] = await failuresOf(store, ['get'])
    expect(failure?.code).toBe('UNAVAILABLE')
  })

  it('bytes that are not those that were stored are CORRUPT', async () => {
    const store = await storeBehind((_, response) => {
      response.writeHead(200, { ...answer, 'content-length': '5', 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' })
      response.end('other')
    })
    const [failure] = await failuresOf(store, ['get'])
    expect(failure?.code).toBe('CORRUPT')
  })

  it('bytes that came in pieces are compared with what was stored as well', async () => {
    const headers = { ...answer, 'content-md5': createHash('md5').update('0123456789').digest('base64') }
    const store = await storeBehind((request, response) => {
      if (request.headers['x-ms-range'] === undefined) {
        response.writeHead(200, { ...headers, 'content-length': '10' })
        response.write('01234')
        setTimeout(() => response.destroy(), 20)
      } else {
        response.writeHead(206, { ...answer, 'content-length': '5', 'content-range': 'bytes 5-9/10' })
        response.end('56x89')
      }
    })
    const found = await withRetry(store, { sleep: async () => undefined }).get('a')
    await expect(Array.fromAsync(found?.body ?? [])).rejects.toMatchObject({ code: 'CORRUPT' })
  })

  it('a range that is answered with other bytes than asked for is refused', async () => {
    const store = await storeBehind((_, response) => {
      response.writeHead(200, { ...answer, 'content-length': '10' })
      response.end('0123456789')
    })
    await expect(store.get('a', { range: { start: 2, end: 4 } })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
  })

  describe('blocks that another writer made the service drop', () => {
    const dropping: RequestListener = (request, response) => {
      request.resume()
      request.on('end', () => {
        const isCommit = request.url?.includes('comp=blocklist') === true
        const status = request.method === 'HEAD' ? 200 : isCommit ? 400 : 201
        response.writeHead(status, isCommit ? { 'x-ms-error-code': 'InvalidBlockList' } : answer)
        response.end()
      })
    }
    const put = calls['put of a long stream'] ?? expect.fail()

    it('make a put without a condition UNAVAILABLE, which may be retried', async () => {
      const store = await storeBehind(dropping)
      await expect(put(store)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    })

    it.each([{ ifAbsent: true }, { ifMatch: 'older' }])('make a put with %o a CONFLICT', async (options) => {
      const store = await storeBehind(dropping)
      const conditional: ObjectStore = { ...store, put: (key, body) => store.put(key, body, options) }
      await expect(put(conditional)).rejects.toMatchObject({ code: 'CONFLICT' })
    })

    it('leave it open whether a condition held when the object is still the same', async () => {
      const store = await storeBehind(dropping)
      const conditional: ObjectStore = {
        ...store,
        put: (key, body) => store.put(key, body, { ifMatch: '1' }),
      }
      await expect(put(conditional)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    })
  })
})

describe('a token credential', () => {
  const storeWith = (getToken: () => Promise<never>): ObjectStore =>
    azureStore({
      container: new ContainerClient(
        'https://127.0.0.1:9/account/container',
        newPipeline({ getToken }, { retryOptions: { maxTries: 1 } }),
      ),
    })
  const calls: Readonly<Record<string, (store: ObjectStore, signal?: AbortSignal) => Promise<unknown>>> = {
    get: (store, signal) => store.get('a', { signal }),
    put: (store, signal) => store.put('a', Buffer.from('x'), { signal }),
    list: (store, signal) => Array.fromAsync(store.list('', { signal })),
    signedUrl: async (store, signal) => store.signedUrl?.('a', { method: 'GET', signal }),
  }

  it.each(Object.entries(calls))(
    'that never answers is waited for no longer than the signal says: %s',
    async (_, call) => {
      const controller = new AbortController()
      const reason = new Error('the caller had enough')
      const store = storeWith(() => {
        setImmediate(() => controller.abort(reason))
        return new Promise(() => undefined)
      })
      await expect(call(store, controller.signal)).rejects.toBe(reason)
    },
  )

  it.each(['CredentialUnavailableError', 'AggregateAuthenticationError', 'AuthenticationError'])(
    'that fails with a %s is ACCESS_DENIED, with what to do',
    async (name) => {
      const store = storeWith(() => Promise.reject(Object.assign(new Error('no'), { name, statusCode: 400 })))
      for (const call of Object.values(calls))
        await expect(call(store)).rejects.toMatchObject({
          code: 'ACCESS_DENIED',
          message: expect.stringContaining('sign in with "az login"') as string,
        })
    },
  )
})
