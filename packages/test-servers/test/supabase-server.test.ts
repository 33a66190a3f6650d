import { Readable } from 'node:stream'
import { StorageClient, type StorageApiError } from '@supabase/storage-js'
import { Upload } from 'tus-js-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSupabaseServer, type SupabaseServer } from '../src/index.ts'

const MIB = 1_048_576
let server: SupabaseServer
beforeAll(async () => {
  const tokens = {
    all: 'service',
    read: 'reader',
    add: 'inserter',
    blind: 'blind',
    none: 'stranger',
    old: 'expired',
  } as const
  server = await startSupabaseServer({ tokens, fileSizeLimit: 20 * MIB })
})
afterAll(() => server.stop())

function files(token = 'all', bucket = 'bucket') {
  return new StorageClient(`${server.url}/storage/v1`, { authorization: `Bearer ${token}` }).from(bucket)
}

/** What the SDK makes of a refusal: the status of HTTP, and the one inside. */
function refusal({ error }: { error: unknown }): unknown[] {
  const { status, statusCode, message } = error as StorageApiError
  return [status, statusCode, message]
}

describe('refusals are HTTP 400 with what they are inside', () => {
  it('absent objects, existing ones, and missing buckets', async () => {
    await files().upload('there', 'x')
    expect(refusal(await files().info('never'))).toEqual([400, '404', 'Object not found'])
    expect(refusal(await files().upload('there', 'y'))).toEqual([400, '409', 'The resource already exists'])
    expect(refusal(await files('all', 'elsewhere').upload('a', 'x'))).toEqual([
      400,
      '404',
      'Bucket not found',
    ])
  })

  it('bodies that are too large', async () => {
    expect(refusal(await files().upload('large', Buffer.alloc(21 * MIB)))).toEqual([
      400,
      '413',
      'The object exceeded the maximum allowed size',
    ])
  })

  it('tokens', async () => {
    expect(refusal(await files('wrong').upload('a', 'x'))).toEqual([
      400,
      '403',
      'signature verification failed',
    ])
    expect(refusal(await files('old').upload('a', 'x'))).toEqual([
      400,
      '403',
      '"exp" claim timestamp check failed',
    ])
  })

  it.each(['a#b', 'a%b', 'a\\b', 'ä', 'a[b', 'a~b', 'a"b', 'a<b', 'a{b', 'a|b', 'a^b', 'a`b'])(
    'the key %j',
    async (key) => {
      const path = `${server.url}/storage/v1/object/bucket/${encodeURIComponent(key)}`
      const answer = await fetch(path, {
        method: 'POST',
        headers: { authorization: 'Bearer all' },
        body: 'x',
      })
      expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'InvalidKey' }])
    },
  )
})

describe('a key that is not encoded', () => {
  it.each([
    ['n/k/../l', 'n/l'],
    ['n/a#b', 'n/a'],
    ['n/c?d', 'n/c'],
    ['n/e%20f', 'n/e f'],
    ['n/g\\h', 'n/g/h'],
    ['n/i//j', 'n/i/j'],
    ['n/o%2Fp', 'n/o/p'],
    ['n/r/', 'n/r'],
  ])('%j is stored as %j by the SDK', async (key, stored) => {
    expect((await files().upload(key, 'x', { upsert: true })).error).toBeNull()
    expect(server.names('bucket')).toContain(stored)
  })
})

it('lets all of 16 racing creators win, because it looks before it takes the bytes', async () => {
  let arrived = 0
  let open = (): void => undefined
  const all = new Promise<void>((resolve) => (open = resolve))
  const meanwhile = (): Promise<void> => {
    arrived += 1
    if (arrived === 16) open()
    return all
  }
  const racing = await startSupabaseServer({ meanwhile })
  try {
    const client = new StorageClient(`${racing.url}/storage/v1`, { authorization: 'Bearer service-key' })
    const outcomes = await Promise.all(
      Array.from({ length: 16 }, (_, index) => client.from('bucket').upload('race', `${index}`)),
    )
    expect(outcomes.filter(({ error }) => error === null)).toHaveLength(16)
  } finally {
    await racing.stop()
  }
})

describe('row-level security', () => {
  beforeAll(async () => {
    await files().upload('rows/a', 'x', { upsert: true })
  })

  it('makes what may not be seen absent', async () => {
    for (const token of ['blind', 'none', 'add']) {
      expect(refusal(await files(token).info('rows/a'))).toEqual([400, '404', 'Object not found'])
      expect((await files(token).listV2({ prefix: 'rows/' })).data?.objects).toEqual([])
    }
  })

  it('refuses what may not be written, and says nothing of what may not be deleted', async () => {
    expect(refusal(await files('read').upload('rows/b', 'x'))).toEqual([
      400,
      '403',
      'new row violates row-level security policy',
    ])
    expect(await files('read').remove(['rows/a'])).toMatchObject({ data: [], error: null })
    expect(server.names('bucket')).toContain('rows/a')
  })

  it('hides buckets, too', async () => {
    const client = new StorageClient(`${server.url}/storage/v1`, { authorization: 'Bearer none' })
    expect(refusal(await client.getBucket('bucket'))).toEqual([400, '404', 'Bucket not found'])
  })
})

describe('lists', () => {
  beforeAll(async () => {
    for (const name of ['l/b', 'l/a/1', 'l/a/2', 'l/a', 'l/Z'])
      await files().upload(name, 'x', { upsert: true })
  })

  it('of the first API have names relative to the folder, and folders without an id', async () => {
    const { data } = await files().list('l')
    expect(data?.map(({ name, id }) => [name, id === null])).toEqual([
      ['Z', false],
      ['a', false],
      ['a', true],
      ['b', false],
    ])
  })

  it('of the second have full names by their bytes, in pages', async () => {
    const names: string[] = []
    let cursor: string | undefined
    do {
      const { data } = await files().listV2({
        prefix: 'l/',
        limit: 2,
        ...(cursor === undefined ? {} : { cursor }),
      })
      names.push(...(data?.objects.map(({ name }) => name) ?? []))
      cursor = data?.nextCursor
    } while (cursor !== undefined)
    expect(names).toEqual(['l/Z', 'l/a', 'l/a/1', 'l/a/2', 'l/b'])
    expect((await files().listV2({ prefix: 'l/', with_delimiter: true })).data?.folders).toEqual([
      { name: 'l/a/' },
    ])
  })

  it('of a bucket that does not exist are empty', async () => {
    expect((await files('all', 'elsewhere').listV2({})).data?.objects).toEqual([])
  })
})

it('reads ranges, and knows what a reader has', async () => {
  await files().upload('range', '0123456789', { upsert: true })
  const read = (headers: Record<string, string>) =>
    fetch(`${server.url}/storage/v1/object/authenticated/bucket/range`, {
      headers: { authorization: 'Bearer all', ...headers },
    })
  const part = await read({ range: 'bytes=2-4' })
  expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([
    206,
    'bytes 2-4/10',
    '234',
  ])
  expect((await read({ range: 'bytes=10-' })).status).toBe(416)
  expect((await read({ 'if-none-match': part.headers.get('etag') ?? '' })).status).toBe(304)
})

it('signs URLs for one object and one method', async () => {
  await files().upload('signed', 'hello', { upsert: true })
  const { data } = await files().createSignedUrl('signed', 60)
  const url = data?.signedUrl ?? ''
  expect(await (await fetch(url)).text()).toBe('hello')
  expect((await fetch(url.replace('/signed?', '/range?'))).status).toBe(400)
  expect((await fetch(`${url.slice(0, -2)}xx`)).status).toBe(400)
  const upload = await files().createSignedUploadUrl('signed', { upsert: true })
  expect(
    (await files('none').uploadToSignedUrl('signed', upload.data?.token ?? '', 'again')).error,
  ).toBeNull()
  expect(await (await fetch(url)).text()).toBe('again')
})

describe('uploads in parts', () => {
  const upload = (name: string, bytes: Buffer, headers: Record<string, string> = {}): Promise<void> =>
    new Promise((resolve, reject) => {
      new Upload(Readable.from([bytes]), {
        endpoint: `${server.url}/storage/v1/upload/resumable`,
        headers: { authorization: 'Bearer all', ...headers },
        metadata: { bucketName: 'bucket', objectName: name, contentType: 'text/plain' },
        uploadSize: bytes.length,
        chunkSize: 6 * MIB,
        retryDelays: null,
        onError: reject,
        onSuccess: () => resolve(),
      }).start()
    })

  it('come back whole, and replace only when they are told to', async () => {
    await upload('tus', Buffer.alloc(14 * MIB, 'abc'))
    const { data } = await files().info('tus')
    expect([data?.size, data?.contentType]).toEqual([14 * MIB, 'text/plain'])
    await expect(upload('tus', Buffer.alloc(10))).rejects.toThrow('409')
    await upload('tus', Buffer.alloc(10), { 'x-upsert': 'true' })
    expect((await files().info('tus')).data?.size).toBe(10)
    expect(server.openUploads()).toBe(0)
  })

  it('keep what came of a part that broke off, and are gone when they are ended', async () => {
    const headers = { authorization: 'Bearer all', 'tus-resumable': '1.0.0' }
    const metadata = ['bucketName', 'bucket', 'objectName', 'broken']
      .map((text, index) => (index % 2 === 0 ? text : `${Buffer.from(text).toString('base64')},`))
      .join(' ')
      .replaceAll(', ', ',')
      .slice(0, -1)
    const created = await fetch(`${server.url}/storage/v1/upload/resumable`, {
      method: 'POST',
      headers: { ...headers, 'upload-length': '10', 'upload-metadata': metadata },
    })
    expect(created.status).toBe(201)
    const location = created.headers.get('location') ?? ''
    const patch = (offset: number, body: string): Promise<Response> =>
      fetch(location, { method: 'PATCH', headers: { ...headers, 'upload-offset': `${offset}` }, body })
    expect((await patch(0, '0123')).headers.get('upload-offset')).toBe('4')
    expect((await patch(2, 'xx')).status).toBe(409)
    expect((await fetch(location, { method: 'HEAD', headers })).headers.get('upload-offset')).toBe('4')
    expect((await fetch(location, { method: 'DELETE', headers })).status).toBe(204)
    expect((await fetch(location, { method: 'HEAD', headers })).status).toBe(404)
    expect(server.names('bucket')).not.toContain('broken')
  })
})
