import type { ObjectStore } from '@ws/core'
import { startFaultProxy, startFauxqs, type FaultProxy, type S3TestServer } from '@ws/test-servers'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { storeWith } from './open-fixtures.ts'

const MIB = 1_048_576
const HOUR_MS = 3_600_000

let server: S3TestServer
let proxy: FaultProxy
let store: ObjectStore
beforeAll(async () => {
  server = await startFauxqs()
  proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
})
beforeEach(() => {
  proxy.reset()
  store = storeWith(server, { endpoint: proxy.through(server.clientConfig.endpoint ?? '') })
})

/** As AWS does, and the local server does not. Its answer says no time. */
function refuseWrongTimes(): void {
  proxy.inject({
    match: ({ headers }) => Math.abs(timeOf(String(headers['x-amz-date'])) - Date.now()) > HOUR_MS / 4,
    times: Number.POSITIVE_INFINITY,
    fault: {
      kind: 'answer',
      status: 403,
      headers: { 'content-type': 'application/xml', date: '' },
      body: '<Error><Code>RequestTimeTooSkewed</Code></Error>',
    },
  })
}

function timeOf(amzDate: string): number {
  return Date.parse(amzDate.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

const calls: Readonly<Record<string, () => Promise<unknown>>> = {
  async get() {
    for await (const _ of (await store.get('a'))?.body ?? []);
  },
  head: () => store.head('a'),
  put: () => store.put('a', Buffer.from('x')),
  'put of a long stream with a condition': async () => {
    const etag = (await store.head('b'))?.etag
    return store.put('b', longStream(), etag === undefined ? { ifAbsent: true } : { ifMatch: etag })
  },
  list: () => Array.fromAsync(store.list('')),
  delete: () => store.delete('c'),
}

async function* longStream(): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < 7; count += 1) yield new Uint8Array(MIB)
}

it.each(Object.entries(calls))(
  'an answer with a wrong date spoils nothing: %s is sent again with the time of this machine',
  async (_, call) => {
    await store.put('a', Buffer.from('x'))
    refuseWrongTimes()
    const date = new Date(Date.now() + 2 * HOUR_MS).toUTCString()
    proxy.inject({ fault: { kind: 'answer', status: 503, headers: { date } } })
    await expect(store.get('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await call()
    expect(proxy.requests.some(({ status }) => status === 403)).toBe(true)
  },
)

it('a proxy whose dates are all wrong spoils nothing', async () => {
  proxy.dateSkewMs = 2 * HOUR_MS
  try {
    refuseWrongTimes()
    for (const name of ['put', 'get', 'head', 'list', 'delete']) await calls[name]?.()
  } finally {
    proxy.dateSkewMs = 0
  }
})

it('a refusal of the time of this machine is told at once', async () => {
  await store.put('a', Buffer.from('x'))
  proxy.reset()
  const body = '<Error><Code>RequestTimeTooSkewed</Code></Error>'
  proxy.inject({ times: 9, fault: { kind: 'answer', status: 403, body } })
  await expect(store.put('a', Buffer.from('x'))).rejects.toMatchObject({
    code: 'ACCESS_DENIED',
    message: expect.stringContaining('set the clock') as string,
  })
  expect(proxy.requests.length).toBe(1)
})
