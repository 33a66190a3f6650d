import {
  startFaultProxy,
  startFauxqs,
  startR2Server,
  type FaultProxy,
  type S3TestServer,
} from '@ws/test-servers'
import type { ObjectStore } from '@ws/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { storeWith } from './open-fixtures.ts'

const isDelete = ({ method }: { method: string }): boolean => method === 'DELETE'

describe.each([
  ['a service that names its requests', startFauxqs, true],
  ['a service that does not', startR2Server, false],
])('%s', (_, start, isNamed) => {
  let server: S3TestServer
  let proxy: FaultProxy
  let store: ObjectStore
  beforeAll(async () => {
    server = await start()
    proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
    store = storeWith(server, { endpoint: proxy.through(server.clientConfig.endpoint ?? '') })
  })
  afterAll(async () => {
    await proxy.stop()
    await server.stop()
  })
  beforeEach(async () => {
    proxy.reset()
    await store.put('a', Buffer.from('content'))
    proxy.reset()
  })

  it('is believed at once when it says that an object is deleted, or that there was none', async () => {
    await store.delete('a')
    await store.delete('a')
    expect(proxy.requests.map(({ method }) => method)).toEqual(['DELETE', 'DELETE'])
    expect(await store.head('a')).toBeNull()
  })

  it('is told from a proxy that says so while the object is there, if it names its requests', async () => {
    proxy.inject({ match: isDelete, times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', status: 204 } })
    const outcome: unknown = await store.delete('a').then(() => 'believed', (error: unknown) => error)
    if (isNamed) expect(outcome).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    else expect(outcome).toBe('believed')
    await store.delete('never')
    expect(await store.head('a')).not.toBeNull()
  })

  it('a service whose name of a request is lost on the way is believed when the object is gone', async () => {
    const headers = { 'x-amz-request-id': null, 'x-amz-id-2': null }
    proxy.inject({ match: isDelete, times: Number.POSITIVE_INFINITY, fault: { kind: 'headers', headers } })
    await store.delete('a')
    expect(await store.head('a')).toBeNull()
  })
}) // prettier-ignore
