import { inspect } from 'node:util'
import { Storage } from '@google-cloud/storage'
import { WorkspaceError, type ObjectBody, type ObjectStore } from '@ws/core'
import { afterAll, describe, expect, it } from 'vitest'
import { gcsStore } from '../src/index.ts'
import { openTestBucket } from './open-test-bucket.ts'

const MIB = 1_048_576
const test = await openTestBucket()
afterAll(() => test.close())
const store = gcsStore({ bucket: test.bucket, prefix: `objects-${process.pid}` })

async function* pieces(count: number, bytes = MIB): AsyncGenerator<Uint8Array> {
  for (let value = 1; value <= count; value += 1) yield new Uint8Array(bytes).fill(value)
}

async function read(from: ObjectStore, key: string): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await from.get(key))?.body ?? []) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe(`on ${test.service}`, () => {
  it.each([8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 16 * MIB + 1])(
    'a body of %d bytes comes back whole, from memory and from a stream',
    async (size) => {
      const bytes = Buffer.alloc(size, 'some bytes that repeat at an odd distance')
      async function* stream(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < size; at += 3 * MIB + 7) yield bytes.subarray(at, at + 3 * MIB + 7)
      }
      for (const body of [bytes, stream()] as ObjectBody[]) {
        const info = await store.put('exact', body)
        expect(info.size).toBe(size)
        expect((await read(store, 'exact')).equals(bytes)).toBe(true)
      }
    },
  )

  it.each(['ifAbsent', 'ifMatch'] as const)(
    'of 16 racers with long bodies and %s one wins, and no loser is told anything else',
    async (condition) => {
      const before =
        condition === 'ifMatch' ? await store.put(`race/${condition}`, Buffer.from('before')) : null
      const options = before === null ? { ifAbsent: true } : { ifMatch: before.etag }
      const outcomes = await Promise.allSettled(
        Array.from({ length: 16 }, () => store.put(`race/${condition}`, pieces(9), options)),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'CONFLICT' })
      await store.delete(`race/${condition}`)
    },
  )

  it('signs URLs that read and write one object, until they expire', async () => {
    const sign = (method: 'GET' | 'PUT', key = 'signed/a b#c%é') =>
      store.signedUrl?.(key, { method, expiresInMs: 60_000 })
    const put = await fetch((await sign('PUT')) ?? '', { method: 'PUT', body: 'hello' })
    expect(put.status).toBe(200)
    const get = (await sign('GET')) ?? new URL('http://nowhere')
    expect(await (await fetch(get)).text()).toBe('hello')
    expect((await fetch(get, { method: 'PUT', body: 'x' })).status).toBe(403)
    get.pathname = get.pathname.replace('signed', 'other')
    expect((await fetch(get)).status).toBe(403)
    const expired = (await sign('GET')) ?? new URL('http://nowhere')
    expired.searchParams.set('X-Goog-Date', '20200101T000000Z')
    expect([400, 403]).toContain((await fetch(expired)).status)
    await store.delete('signed/a b#c%é')
  })

  it('says what credentials lack that cannot sign, and nothing of what they hold', async () => {
    const credentials = { type: 'authorized_user', client_id: 'id', client_secret: 'hidden', refresh_token: 'hidden' } // prettier-ignore
    const bucket = new Storage({ apiEndpoint: 'http://127.0.0.1:9', projectId: 'project', credentials }).bucket('b') // prettier-ignore
    const failure: unknown = await gcsStore({ bucket }).signedUrl?.('a', { method: 'GET' }).catch((error: unknown) => error) // prettier-ignore
    expect(failure).toMatchObject({
      code: 'ACCESS_DENIED',
      message: expect.stringContaining('grant the role Service Account Token Creator'),
    })
    expect(inspect(failure)).not.toContain('hidden')
  })

  it.each([0, -1, Number.NaN, 7 * 86_400_000 + 1])(
    'signs no URL for %d milliseconds',
    async (expiresInMs) => {
      await expect(store.signedUrl?.('a', { method: 'GET', expiresInMs })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
      })
    },
  )

  it('keeps every name and value that metadata may have', async () => {
    const metadata = { '1': 'digit', '-1': 'dash', 'a-1': ' two  spaces ', b: '100% %20', c: '' }
    await store.put('metadata', Buffer.from('x'), { metadata, contentType: 'text/plain' })
    for (const info of [await store.head('metadata'), (await store.get('metadata'))?.info])
      expect(info).toMatchObject({ metadata, contentType: 'text/plain' })
  })

  it('tells a missing bucket from a missing object, in every method', async () => {
    const elsewhere = gcsStore({ bucket: test.bucket.storage.bucket(`ws-missing-${process.pid}-bucket`) })
    const calls = [
      () => elsewhere.get('a'),
      () => elsewhere.get('a', { range: { start: 0 } }),
      () => elsewhere.head('a'),
      () => elsewhere.put('a', Buffer.from('x')),
      () => elsewhere.put('a', pieces(20)),
      () => elsewhere.delete('a'),
      () => elsewhere.list('')[Symbol.asyncIterator]().next(),
    ]
    for (const call of calls) {
      const error: unknown = await call().catch((reason: unknown) => reason)
      expect(WorkspaceError.is(error, 'NOT_FOUND'), String(error)).toBe(true)
    }
  })
})

it('needs a bucket', () => {
  for (const bucket of [undefined, null, 'name', {}])
    expect(() => gcsStore({ bucket: bucket as never })).toThrow(/(?:needs|must be) a bucket/)
})
