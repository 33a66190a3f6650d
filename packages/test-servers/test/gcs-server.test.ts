import { EventEmitter } from 'node:events'
import { Storage, type Bucket } from '@google-cloud/storage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGcsServer, type GcsServer } from '../src/index.ts'

// `download()` of the SDK alone puts 11 listeners on one stream, of which Node warns at every run.
EventEmitter.defaultMaxListeners = 20

const MIB = 1_048_576
let server: GcsServer
let bucket: Bucket
beforeAll(async () => {
  server = await startGcsServer()
  bucket = new Storage({
    apiEndpoint: server.url,
    projectId: 'x',
    retryOptions: { autoRetry: false },
  }).bucket('bucket')
})
afterAll(() => server.stop())

describe('uploads of the SDK', () => {
  it('come back whole, in one request or in parts of 256 KiB', async () => {
    const bytes = Buffer.alloc(3 * MIB + 5, 'abc')
    await bucket.file('simple').save(bytes, { resumable: false })
    await bucket.file('parts').save(bytes, { resumable: true, chunkSize: 262_144 })
    for (const name of ['simple', 'parts']) {
      const [stored] = await bucket.file(name).download()
      expect(stored.equals(bytes)).toBe(true)
    }
    expect(
      server.requests.filter(({ operation, name }) => operation === 'upload.part' && name === 'parts'),
    ).toHaveLength(13)
    expect(server.openUploads()).toBe(0)
  })

  it('of nothing are objects of no bytes', async () => {
    await bucket.file('empty').save('', { resumable: true })
    expect((await bucket.file('empty').getMetadata())[0].size).toBe('0')
  })

  it('are refused when the checksum that they claim is wrong', async () => {
    const saved = bucket
      .file('wrong')
      .save('text', { resumable: false, validation: false, metadata: { crc32c: 'AAAAAA==' } })
    await expect(saved).rejects.toMatchObject({ code: 400 })
    expect(server.names('bucket')).not.toContain('wrong')
  })

  it('keep whole parts of 256 KiB of a request that broke off, and tell how many', async () => {
    const [session] = await bucket.file('broken').createResumableUpload()
    const put = (range: string, body: Uint8Array<ArrayBuffer> | ReadableStream | null): Promise<Response> =>
      fetch(session, {
        method: 'PUT',
        headers: { 'content-range': range },
        body,
        duplex: 'half',
        redirect: 'manual',
      } as RequestInit)
    let pulled = 0
    const source = new ReadableStream({
      pull(controller) {
        pulled += 1
        if (pulled <= 3) controller.enqueue(new Uint8Array(150_000))
        else controller.error(new Error('the line went dead'))
      },
    })
    await expect(put(`bytes 0-${MIB - 1}/*`, source)).rejects.toThrow()
    const asked = await put('bytes */*', null)
    expect([asked.status, asked.headers.get('range')]).toEqual([308, 'bytes=0-262143'])
    const beyond = await put('bytes 524288-524288/524289', new Uint8Array(1))
    expect(beyond.status).toBe(400)
    const rest = await put('bytes 262144-262243/262244', new Uint8Array(100))
    expect(rest.status).toBe(200)
    expect((await bucket.file('broken').getMetadata())[0].size).toBe('262244')
    // A finished session answers with its object, however often it is asked.
    expect((await put('bytes */262244', null)).status).toBe(200)
  })

  it('are forgotten when they are cancelled', async () => {
    const [session] = await bucket.file('cancelled').createResumableUpload()
    expect((await fetch(session, { method: 'DELETE' })).status).toBe(499)
    expect((await fetch(session, { method: 'PUT', body: 'x' })).status).toBe(404)
    expect(server.openUploads()).toBe(0)
  })
})

describe('preconditions', () => {
  it('let exactly one of 16 racing creators win', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 16 }, (_, index) =>
        bucket
          .file('race')
          .save(`${index}`, { resumable: index % 2 === 0, preconditionOpts: { ifGenerationMatch: 0 } }),
      ),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected')
        expect(JSON.stringify([outcome.reason.code, outcome.reason.status])).toContain('412')
  })

  it('hold for uploads, patches, deletes and reads', async () => {
    const file = bucket.file('conditions')
    await file.save('first', { resumable: false })
    const [first] = await file.getMetadata()
    await file.save('second', {
      resumable: false,
      preconditionOpts: { ifGenerationMatch: Number(first.generation) },
    })
    const stale = { ifGenerationMatch: Number(first.generation) }
    await expect(file.save('third', { resumable: false, preconditionOpts: stale })).rejects.toMatchObject({
      code: 412,
    })
    await expect(file.delete(stale)).rejects.toMatchObject({ code: 412 })
    await expect(
      file.setMetadata({ metadata: { a: 'b' } }, { ifMetagenerationMatch: 7 }),
    ).rejects.toMatchObject({ code: 412 })
    await file.setMetadata({ metadata: { a: 'b' } }, { ifMetagenerationMatch: 1 })
    const [second] = await file.getMetadata()
    expect([second.metageneration, second.metadata]).toEqual(['2', { a: 'b' }])
    const known = `${server.url}/storage/v1/b/bucket/o/conditions?ifGenerationNotMatch=${second.generation}`
    expect((await fetch(known)).status).toBe(304)
    await expect(
      bucket.file('conditions', { generation: first.generation ?? '' }).getMetadata(),
    ).rejects.toMatchObject({ code: 404 })
  })
})

describe('reads', () => {
  it('give ranges, and 416 past the end', async () => {
    await bucket.file('range').save('0123456789', { resumable: false })
    const read = async (options: { start?: number; end?: number }): Promise<string> =>
      (await bucket.file('range').download(options))[0].toString()
    expect(await read({ start: 2, end: 4 })).toBe('234')
    expect(await read({ start: 8 })).toBe('89')
    expect(await read({ end: -3 })).toBe('789')
    await expect(read({ start: 10 })).rejects.toMatchObject({ code: 416 })
  })

  it('notice bytes that are not those that were stored', async () => {
    await bucket.file('damaged').save('0123456789', { resumable: false })
    server.damage('bucket', 'damaged')
    await expect(bucket.file('damaged').download()).rejects.toMatchObject({
      code: 'CONTENT_DOWNLOAD_MISMATCH',
    })
  })

  it('explain in JSON what a description lacks, and in plain text what a download lacks', async () => {
    const object = `${server.url}/storage/v1/b/bucket/o/never`
    const description = await fetch(object)
    expect([description.status, await description.json()]).toMatchObject([
      404,
      { error: { message: 'No such object: bucket/never' } },
    ])
    const download = await fetch(`${object}?alt=media`)
    expect([download.status, await download.text()]).toEqual([404, 'No such object: bucket/never'])
    await expect(bucket.storage.bucket('elsewhere').file('a').getMetadata()).rejects.toThrow(
      'The specified bucket does not exist.',
    )
    expect(await bucket.storage.bucket('elsewhere').exists()).toEqual([false])
  })
})

it('lists by the bytes of the names, in pages, with folders where a delimiter is given', async () => {
  const names = ['list/A', 'list/Z', 'list/a', 'list/a/b', 'list/a/c', 'list/é', 'list/\uffee', 'list/😀']
  for (const name of names.toReversed()) await bucket.file(name).save('x', { resumable: false })
  const list = async (query: object): Promise<string[]> => {
    const found: string[] = []
    let next: object | null = { prefix: 'list/', autoPaginate: false, ...query }
    while (next !== null) {
      const [files, nextQuery] = (await bucket.getFiles(next)) as unknown as [
        { name: string }[],
        object | null,
      ]
      found.push(...files.map(({ name }) => name))
      next = nextQuery
    }
    return found
  }
  expect(await list({})).toEqual(names)
  expect(await list({ maxResults: 3 })).toEqual(names)
  expect(await list({ startOffset: 'list/a/', endOffset: 'list/é' })).toEqual(['list/a/b', 'list/a/c'])
  const answer = await fetch(`${server.url}/storage/v1/b/bucket/o?prefix=list/&delimiter=/`)
  expect(((await answer.json()) as { prefixes: string[] }).prefixes).toEqual(['list/a/'])
})

it('lets an object change only so often, where a test says so', async () => {
  server.refuseMutations('hot', 2)
  const save = (): Promise<void> => bucket.file('hot').save('x', { resumable: false })
  await expect(save()).rejects.toMatchObject({ code: 429 })
  await expect(save()).rejects.toMatchObject({ code: 429 })
  await save()
})

it('knows which token may do what', async () => {
  const guarded = await startGcsServer({ tokens: { writer: 'write', reader: 'read' } })
  try {
    const ask = async (token: string | null, method: string): Promise<number> => {
      const headers = token === null ? {} : { authorization: `Bearer ${token}` }
      const path =
        method === 'GET' ? 'storage/v1/b/bucket/o' : 'upload/storage/v1/b/bucket/o?name=a&uploadType=media'
      return (await fetch(`${guarded.url}/${path}`, { method, headers })).status
    }
    expect(await ask(null, 'GET')).toBe(401)
    expect(await ask('stranger', 'GET')).toBe(401)
    expect(await ask('reader', 'GET')).toBe(200)
    expect(await ask('reader', 'POST')).toBe(403)
    expect(await ask('writer', 'POST')).toBe(200)
  } finally {
    await guarded.stop()
  }
})
