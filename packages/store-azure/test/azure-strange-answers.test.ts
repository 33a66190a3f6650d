import type { RequestListener } from 'node:http'
import { StorageSharedKeyCredential } from '@azure/storage-blob'
import type { ObjectStore } from '@ws/core'
import { describe, expect, it } from 'vitest'
import { storeBehind as openBehind } from './store-behind.ts'

const credential = new StorageSharedKeyCredential('account', Buffer.from('no key').toString('base64'))
const storeBehind = (listener: RequestListener): Promise<ObjectStore> =>
  openBehind(listener, credential, { blockBytes: 1_000 })

const known = { etag: '"1"', 'last-modified': new Date(0).toUTCString(), 'x-ms-request-id': 'r' }

function page(names: readonly string[], marker: string): string {
  const properties = `<Properties><Last-Modified>${known['last-modified']}</Last-Modified><Etag>0x1</Etag><Content-Length>1</Content-Length></Properties>`
  const blobs = names.map((name) => `<Blob><Name>${name}</Name>${properties}</Blob>`).join('')
  return `<?xml version="1.0"?><EnumerationResults ContainerName="container"><Blobs>${blobs}</Blobs><NextMarker>${marker}</NextMarker></EnumerationResults>`
}

describe('a list that leads back to a page that has been', () => {
  it.each([
    ['with objects', ['a', 'b'], ['same'], 'CORRUPT'],
    ['with objects, over another page', ['a', 'b'], ['one', 'other'], 'CORRUPT'],
    ['without objects', [], ['same'], 'UNAVAILABLE'],
  ] as const)('ends: %s', async (_, names, markers, code) => {
    let pages = 0
    const store = await storeBehind((request, response) => {
      request.resume()
      response.writeHead(200, { ...known, 'content-type': 'application/xml' })
      response.end(page(names, pages < 50 ? (markers[pages % markers.length] ?? '') : ''))
      pages += 1
    })
    await expect(Array.fromAsync(store.list(''))).rejects.toMatchObject({ code })
    expect(pages).toBe(markers.length + 1)
  })
})

it('a range that is answered with another one, as its answer says, is refused', async () => {
  const store = await storeBehind((_, response) => {
    response.writeHead(206, { ...known, 'content-length': '10', 'content-range': 'bytes 0-9/30' })
    response.end('0123456789')
  })
  await expect(store.get('a', { range: { start: 10, end: 20 } })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('did not come from the service') as string,
  })
})

it('a block that is refused for good ends the put while its source waits, and the source afterwards', async () => {
  const store = await storeBehind((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(403, { ...known, 'x-ms-error-code': 'AuthorizationFailure' })
      response.end()
    })
  })
  const waiting = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<string>()
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      yield Buffer.alloc(1_500)
      await waiting.promise
      yield Buffer.alloc(1_500)
    } finally {
      ended.resolve('ended')
    }
  }
  await expect(store.put('a', source())).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
  waiting.resolve()
  expect(await ended.promise).toBe('ended')
})

it.each([
  ['list', 200, (store: ObjectStore) => Array.fromAsync(store.list(''))],
  ['get', 403, (store: ObjectStore) => store.get('a')],
] as const)('an answer without end is not read for ever: %s, %d', async (_, status, call) => {
  const piece = Buffer.alloc(1_048_576, ' ')
  const closed = Promise.withResolvers<number>()
  const store = await storeBehind((request, response) => {
    request.resume()
    response.writeHead(status, { ...known, 'content-type': 'application/xml' })
    let pieces = 0
    const write = (): void => {
      while (!response.destroyed && pieces < 100) {
        pieces += 1
        if (!response.write(piece)) return void response.once('drain', write)
      }
      response.end()
    }
    response.on('close', () => closed.resolve(pieces))
    write()
  })
  await expect(call(store)).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('did not come from the service') as string,
  })
  expect(await closed.promise).toBeLessThan(100)
})
