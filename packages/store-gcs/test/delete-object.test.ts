import { startFaultProxy, startGcsServer, type FaultProxy, type GcsServer } from '@ws/test-servers'
import type { ObjectStore } from '@ws/core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { gcsStore } from '../src/index.ts'
import { plainBucket } from './open-test-bucket.ts'

const isDelete = ({ method }: { method: string }): boolean => method === 'DELETE'

describe.each([
  ['a service that names its requests', true],
  ['a service that does not', false],
])('%s', (_, namesRequests) => {
  let server: GcsServer
  let proxy: FaultProxy
  let store: ObjectStore
  beforeAll(async () => {
    server = await startGcsServer({ namesRequests })
    proxy = await startFaultProxy({ target: server.url })
    store = gcsStore({ bucket: plainBucket(proxy.origin) })
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

  it('is believed at once when it says that an object is deleted', async () => {
    await store.delete('a')
    expect(proxy.requests.map(({ method }) => method)).toEqual(['DELETE'])
    expect(await store.head('a')).toBeNull()
  })

  it('is told from a proxy that says so while the object is there, if it names its requests', async () => {
    proxy.inject({ match: isDelete, times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', status: 204 } })
    const outcome: unknown = await store.delete('a').then(() => 'believed', (error: unknown) => error)
    if (namesRequests) expect(outcome).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    else expect(outcome).toBe('believed')
    await store.delete('never')
    expect(await store.head('a')).not.toBeNull()
  })

  it('a service whose name of a request is lost on the way is believed when the object is gone', async () => {
    const headers = { 'x-guploader-uploadid': null }
    proxy.inject({ match: isDelete, times: Number.POSITIVE_INFINITY, fault: { kind: 'headers', headers } })
    await store.delete('a')
    expect(await store.head('a')).toBeNull()
  })
}) // prettier-ignore
