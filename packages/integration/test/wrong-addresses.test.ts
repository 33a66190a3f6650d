import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { openStore } from '@ws/core'
import { s3Store } from '@ws/store-s3'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

const load = (name: string): Promise<unknown> => import(name)
const credentials = {
  AWS_ACCESS_KEY_ID: 'access',
  AWS_SECRET_ACCESS_KEY: 'not-a-secret',
  AZURE_STORAGE_CONNECTION_STRING: '',
  AZURE_STORAGE_KEY: 'bm90LWEtc2VjcmV0',
  SUPABASE_SERVICE_ROLE_KEY: 'not-a-secret',
}

let server: Server
let host: string

beforeAll(async () => {
  server = createServer((_, response) => void response.end('plain')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  for (const [name, value] of Object.entries(credentials)) vi.stubEnv(name, value)
})

afterAll(() => {
  server.close()
  vi.unstubAllEnvs()
})

describe('an address that begins with https: where nobody speaks TLS', () => {
  it.each([
    ['s3', () => `s3://bucket?region=auto&endpoint=https://${host}`],
    ['azure', () => `azure://bucket?account=account&endpoint=https://${host}/account`],
    ['supabase', () => `supabase://bucket?url=https://${host}`],
  ])('is told by %s, whatever is called', async (_, url) => {
    const store = await openStore(url(), { load, reliability: { retry: { attempts: 1 } } })
    const calls = [
      () => store.get('a'),
      () => store.head('a'),
      () => store.delete('a'),
      () => store.put('a', Buffer.from('x')),
      () => Array.fromAsync(store.list('')),
    ]
    for (const call of calls)
      await expect(call()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringMatching(/does not speak TLS; check .*https:.*EPROTO/) as string,
      })
  })
})

describe('an endpoint that names the bucket already', () => {
  afterEach(() => vi.stubEnv('AWS_ENDPOINT_URL_S3', ''))

  const refusal = {
    code: 'INVALID_INPUT',
    message: expect.stringContaining('leave the bucket out of the endpoint') as string,
  }

  it.each([
    'https://0123456789abcdef.r2.cloudflarestorage.com/bucket',
    'https://0123456789abcdef.r2.cloudflarestorage.com/bucket/',
    'https://bucket.s3.eu-central-1.amazonaws.com',
    'https://bucket.s3-accelerate.amazonaws.com',
  ])('is refused: %s', async (endpoint) => {
    await expect(openStore(`s3://bucket?endpoint=${endpoint}`, { load })).rejects.toMatchObject(refusal)
    vi.stubEnv('AWS_ENDPOINT_URL_S3', endpoint)
    await expect(openStore('s3://bucket', { load })).rejects.toMatchObject(refusal)
  })

  it.each([
    'http://bucket:9000',
    'https://bucket.example.com',
    'https://s3.example.com/bucket/proxy',
    'https://s3.eu-central-1.amazonaws.com',
  ])('is none, and taken: %s', (endpoint) => {
    expect(s3Store({ bucket: 'bucket', client: { endpoint, region: 'auto' } }).name).toBe('s3')
  })
})

it.each(['http://127.0.0.1:10000', 'http://127.0.0.1:10000/'])(
  'an Azure endpoint %s without the account is refused, since its container would have no name',
  async (endpoint) => {
    const url = `azure://files?account=account&endpoint=${endpoint}`
    await expect(openStore(url, { load })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('lacks the account, which comes behind the host') as string,
      details: { container: 'files' },
    })
  },
)
