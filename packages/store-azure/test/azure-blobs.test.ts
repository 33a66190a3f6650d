import { createHash } from 'node:crypto'
import {
  BlobSASPermissions,
  ContainerClient,
  generateBlobSASQueryParameters,
  type BlobItem,
} from '@azure/storage-blob'
import type { ObjectBody } from '@ws/core'
import { afterAll, describe, expect, it } from 'vitest'
import { azureStore } from '../src/index.ts'
import { openTestContainer } from './open-test-container.ts'

const MIB = 1_048_576
const test = await openTestContainer()
afterAll(() => test.remove())
const { container } = test
const store = azureStore({ container, blockBytes: MIB })

async function* pieces(count: number, bytes = MIB): AsyncGenerator<Uint8Array> {
  for (let value = 1; value <= count; value += 1) yield new Uint8Array(bytes).fill(value)
}

async function collect(body: ObjectBody): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function uncommitted(prefix: string): Promise<BlobItem[]> {
  const found: BlobItem[] = []
  for await (const blob of container.listBlobsFlat({ prefix, includeUncommitedBlobs: true })) found.push(blob)
  return found
}

describe('a body in blocks', () => {
  it('ends exactly at a block, and one byte behind it', async () => {
    for (const bytes of [MIB, MIB + 1, 3 * MIB, 3 * MIB + 1]) {
      const body = Buffer.alloc(bytes, 7)
      const info = await store.put(`exact/${bytes}`, (async function* () { yield body })()) // prettier-ignore
      expect(info.size).toBe(bytes)
      const blocks = await container.getBlockBlobClient(`exact/${bytes}`).getBlockList('committed')
      expect(blocks.committedBlocks?.length ?? 0).toBe(bytes === MIB ? 0 : Math.ceil(bytes / MIB))
      expect((await collect((await store.get(`exact/${bytes}`))?.body ?? ([] as never))).equals(body)).toBe(
        true,
      )
    }
  })

  it('keeps the MD5 of the whole with the blob, as other tools do', async () => {
    await store.put('md5', pieces(5))
    const { contentMD5 } = await container.getBlobClient('md5').getProperties()
    const expected = createHash('md5')
      .update(await collect(pieces(5)))
      .digest()
    expect(Buffer.from(contentMD5 ?? []).equals(expected)).toBe(true)
  })

  it('is no blob, and shows in no list, when its source fails behind the first blocks', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* pieces(6)
      throw new Error('the source broke')
    }
    await expect(store.put('broken/a', failing())).rejects.toThrow('the source broke')
    expect(await store.head('broken/a')).toBeNull()
    expect((await uncommitted('broken/')).every(({ properties }) => properties.contentLength === 0)).toBe(
      true,
    )
    // What was staged is in nobody's way.
    await store.put('broken/a', pieces(3))
    expect((await store.head('broken/a'))?.size).toBe(3 * MIB)
  })

  it.each(['ifAbsent', 'ifMatch'] as const)(
    'of 8 racers with %s wins once, and no loser is told anything else',
    async (condition) => {
      const before = condition === 'ifMatch' ? await store.put('race/ifMatch', Buffer.from('before')) : null
      const options = before === null ? { ifAbsent: true } : { ifMatch: before.etag }
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, () => store.put(`race/${condition}`, pieces(3), options)),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'CONFLICT' })
    },
  )
})

describe('signed URLs', () => {
  it('read and write one blob, and nothing after they expire', async () => {
    const put = await store.signedUrl?.('signed/a b#c', { method: 'PUT', expiresInMs: 60_000 })
    const headers = { 'x-ms-blob-type': 'BlockBlob' }
    expect((await fetch(put ?? '', { method: 'PUT', body: 'hello', headers })).status).toBe(201)
    const get = await store.signedUrl?.('signed/a b#c', { method: 'GET', expiresInMs: 60_000 })
    expect(await (await fetch(get ?? '')).text()).toBe('hello')
    expect((await fetch(get ?? '', { method: 'PUT', body: 'x', headers })).status).toBe(403)
    const old = await store.signedUrl?.('signed/a b#c', { method: 'GET', expiresInMs: 1 })
    old?.searchParams.set('se', '2020-01-01T00:00:00Z')
    expect((await fetch(old ?? '')).status).toBe(403)
  })

  it('cannot be made by a client that was itself made from a signature', async () => {
    const query = generateBlobSASQueryParameters(
      {
        containerName: container.containerName,
        permissions: BlobSASPermissions.parse('r'),
        expiresOn: new Date(Date.now() + 60_000),
      },
      test.credential,
    )
    const reader = azureStore({ container: new ContainerClient(`${container.url}?${query.toString()}`) })
    expect(reader.capabilities.signedUrls).toBe(false)
    expect('signedUrl' in reader).toBe(false)
  })
})

describe('a body whose reader is done with a chunk when it asks for the next one', () => {
  it('comes whole, and gives back the memory of each chunk', async () => {
    const body = Buffer.alloc(2 * MIB, 'some bytes that repeat at an odd distance')
    await store.put('given-back', body)
    const copies: Buffer[] = []
    let last: Uint8Array | undefined
    for await (const chunk of (await store.get('given-back', { reusesChunks: true }))?.body ?? []) {
      expect(last?.length ?? 0).toBe(0)
      copies.push(Buffer.from(chunk))
      last = chunk
    }
    expect(Buffer.concat(copies).equals(body)).toBe(true)
  })
})

describe('a container that others use too', () => {
  it('shows only blobs that a key can name, and their metadata by the names of this library', async () => {
    for (const name of ['foreign/a//b', 'foreign/c/', 'foreign/d'])
      await container.getBlockBlobClient(name).upload('x', 1, { metadata: { Made_By: 'hand' } })
    const keys: string[] = []
    for await (const { key } of store.list('foreign/')) keys.push(key)
    expect(keys).toEqual(['foreign/d'])
    expect((await store.head('foreign/d'))?.metadata).toEqual({ 'made-by': 'hand' })
  })

  it('keeps every name and value that metadata may have', async () => {
    const metadata = { '1': 'digit', '-1': 'dash', 'a-1': ' two  spaces ', b: '100% %20', c: '' }
    await store.put('metadata', Buffer.from('x'), { metadata })
    expect((await store.head('metadata'))?.metadata).toEqual(metadata)
  })
})
