import { inspect } from 'node:util'
import type { ObjectStore } from '@ws/core'
import { startFaultProxy, type FaultProxy, type GcsServer } from '@ws/test-servers'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { gcsStore } from '../src/index.ts'
import { plainBucket, startSigningServer } from './open-test-bucket.ts'

let server: GcsServer
let proxy: FaultProxy
let store: ObjectStore
beforeEach(async () => {
  server = await startSigningServer()
  proxy = await startFaultProxy({ target: server.url })
  store = gcsStore({ bucket: plainBucket(proxy.origin), retry: { sleep: async () => undefined } })
})
afterEach(async () => {
  await proxy.stop()
  await server.stop()
})

const refusal = {
  code: 'UNAVAILABLE',
  message: expect.stringContaining('not from Google Cloud Storage') as string,
}

async function* long(): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < 20; count += 1) yield new Uint8Array(1_048_576)
}

it('an upload whose address is no URL is refused, and the address not repeated', async () => {
  const headers = { location: 'http://:secret-of-the-upload' }
  proxy.inject({ match: ({ method }) => method === 'POST', fault: { kind: 'headers', headers } })
  const failure: unknown = await store.put('a', long()).catch((error: unknown) => error)
  expect(failure).toMatchObject(refusal)
  expect(inspect(failure)).not.toContain('secret-of-the-upload')
})

it.each(['bytes 1-2/4', 'bytes 2-3/5', 'bytes */4'])(
  'a range that is answered with %j is refused',
  async (field) => {
    await store.put('a', Buffer.from('abcd'))
    const headers = { 'content-range': field }
    proxy.inject({ match: ({ url }) => url.includes('alt=media'), fault: { kind: 'headers', headers } })
    await expect(store.get('a', { range: { start: 2, end: 4 } })).rejects.toMatchObject(refusal)
  },
)

it.each(['no route', { text: 'no route' }])(
  'the "not found" %j of a gateway with any list is no absence',
  async (message) => {
    await store.put('a', Buffer.from('abcd'))
    const json = { 'content-type': 'application/json' }
    const body = JSON.stringify({ error: { code: 404, message } })
    for (const call of [() => store.head('a'), () => store.get('a')]) {
      proxy.reset()
      proxy.inject({ match: ({ url }) => /\/o\?/.test(url), times: 9, fault: { kind: 'answer', status: 200, headers: json, body: '{"kind":"page"}' } }) // prettier-ignore
      proxy.inject({ match: ({ url }) => !/\/o\?/.test(url), times: 9, fault: { kind: 'answer', status: 404, headers: json, body } }) // prettier-ignore
      await expect(call()).rejects.toMatchObject(refusal)
    }
  },
)
