import { Agent } from 'node:http'
import { S3Client } from '@aws-sdk/client-s3'
import { BlobServiceClient, ContainerClient } from '@azure/storage-blob'
import { checkStore, runChecks } from '@ws/conformance'
import {
  WorkspaceError,
  createArtifactStore,
  createBundleStore,
  openStore,
  probeStore,
  reliableStore,
  type ObjectStore,
} from '@ws/core'
import { Storage } from '@google-cloud/storage'
import { azureStore, openAzureStore } from '@ws/store-azure'
import { gcsStore, openGcsStore } from '@ws/store-gcs'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import { s3Store } from '@ws/store-s3'
import { openSupabaseStore, supabaseStore } from '@ws/store-supabase'
import { StorageClient } from '@supabase/storage-js'
import { describe, expect, it } from 'vitest'

// Nothing listens there: what is sent fails with another code than `INVALID_INPUT`.
const nowhere = 'http://127.0.0.1:9'
const s3Config = {
  region: 'auto',
  endpoint: nowhere,
  credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  maxAttempts: 1,
}
const s3Client = new S3Client(s3Config)
const gcsBucket = new Storage({ apiEndpoint: nowhere, projectId: 'p' }).bucket('bucket')
const container = new ContainerClient(`${nowhere}/account/files`)
const supabaseClient = new StorageClient(`${nowhere}/storage/v1`, { authorization: 'Bearer key' })

const notNumbers = [null, true, '4', [], {}, Number.NaN, -1]
const notObjects = [null, true, 4, 'text', []]
const notFlags = [null, 1, 'yes', {}]
const notFunctions = [null, true, 'text', {}]
const notSignals = [null, true, {}, new AbortController()]
const notTexts = [null, true, 5, ['a'], {}]
const notPrefixes = [
  ...notTexts,
  '/',
  '/a',
  'a//b',
  '..',
  'a/../b',
  '../other',
  './a',
  'a\\b',
  'a\0',
  'a'.repeat(500),
]
const notBuckets = [...notTexts, '', 'a/b', '..', '.', 'a\\b', 'a\nb']
const notCounts = [...notNumbers, 1.5, Number.POSITIVE_INFINITY]

interface Factory {
  readonly open: (options: object) => unknown
  readonly sound: object
  /** By option: what cannot be meant. */
  readonly wrong: Readonly<Record<string, readonly unknown[]>>
  /** Options that have no default. */
  readonly needed: readonly string[]
}

/** Types would forbid each of these calls. */
const loosely = <Options>(open: (options: Options) => unknown) => (options: object): unknown =>
  open(options as Options) // prettier-ignore

const memory = memoryStore()

const factories: Readonly<Record<string, Factory>> = {
  memoryStore: { open: loosely(memoryStore), sound: {}, wrong: {}, needed: [] },
  localStore: {
    open: loosely(localStore),
    sound: { root: '/tmp/store' },
    wrong: {
      root: [...notTexts, '', 'a\0b', 'file:///tmp/store', 's3://bucket', '~', '~/store'],
      create: notFlags,
      durability: [...notTexts, '', 'fsnyc', 'None'],
    },
    needed: ['root'],
  },
  s3Store: {
    open: loosely(s3Store),
    sound: { bucket: 'bucket', client: s3Config },
    wrong: {
      bucket: notBuckets,
      prefix: notPrefixes,
      client: [...notObjects, gcsBucket.storage, container, supabaseClient, { send: true }, { send() {}, config: { serviceId: 'SQS' } }],
      conditions: [...notTexts, '', 'Enforced'],
      partBytes: [...notCounts, 1_048_576, 6_000_000_000],
      parallelParts: [...notCounts, 0, 101],
      singlePutBytes: [...notCounts, 6_000_000_000],
      retry: notObjects,
    },
    needed: ['bucket'],
  },
  gcsStore: {
    open: loosely(gcsStore),
    sound: { bucket: gcsBucket },
    wrong: {
      bucket: [...notObjects, gcsBucket.storage, s3Client, { name: 'bucket' }, gcsBucket.storage.bucket('a/b')],
      prefix: notPrefixes,
      retry: notObjects,
      agent: [...notObjects, {}, 'http://proxy'],
    },
    needed: ['bucket'],
  },
  openGcsStore: {
    open: loosely(openGcsStore),
    sound: { bucket: 'bucket' },
    wrong: { bucket: [...notBuckets, gcsBucket], prefix: notPrefixes },
    needed: ['bucket'],
  },
  supabaseStore: {
    open: loosely(supabaseStore),
    sound: { client: supabaseClient, bucket: 'bucket' },
    wrong: {
      client: [...notObjects, s3Client, gcsBucket, { storage: null }],
      bucket: notBuckets,
      prefix: notPrefixes,
      retry: notObjects,
    },
    needed: ['client', 'bucket'],
  },
  openSupabaseStore: {
    open: loosely(openSupabaseStore),
    sound: { bucket: 'bucket', url: nowhere },
    wrong: { bucket: notBuckets, prefix: notPrefixes, url: [...notTexts, '', 'ftp://host', 'no url', 'localhost:54321', 'https://name:secret@host'] },
    needed: ['bucket'],
  },
  azureStore: {
    open: loosely(azureStore),
    sound: { container },
    wrong: {
      container: [...notObjects, new BlobServiceClient(nowhere), container.getBlobClient('a'), new ContainerClient(`${nowhere}/container`), s3Client, gcsBucket],
      prefix: notPrefixes,
      blockBytes: [...notCounts, 0, 5_000_000_000],
      blocksInFlight: [...notCounts, 0, 101],
      retry: notObjects,
    },
    needed: ['container'],
  },
  openAzureStore: {
    open: loosely(openAzureStore),
    sound: { container: 'files', account: 'account' },
    wrong: {
      container: notBuckets,
      prefix: notPrefixes,
      account: [...notTexts, '', 'a.evil.example/', 'a/b'],
      endpoint: [...notTexts, '', 'no url', 'localhost:10000', 'https://host?sig=secret'],
    },
    needed: ['container'],
  },
  'the retry of an adapter': {
    open: (retry) => azureStore({ container, retry }),
    sound: {},
    wrong: {
      attempts: [...notNumbers, 0],
      firstDelayMs: notNumbers,
      maxDelayMs: notNumbers,
      random: notFunctions,
      sleep: notFunctions,
    },
    needed: [],
  },
  reliableStore: {
    open: (options) => reliableStore(memoryStore(), options),
    sound: {},
    wrong: { retry: notObjects, timeout: notObjects, concurrency: notObjects },
    needed: [],
  },
  openStore: {
    open: (options) => openStore('memory:', options),
    sound: {},
    wrong: { load: notFunctions, reliability: notObjects },
    needed: [],
  },
  probeStore: { open: (options) => probeStore(memory, options), sound: {}, wrong: { signal: notSignals }, needed: [] },
  createBundleStore: {
    open: (options) => createBundleStore(memory, options),
    sound: {},
    wrong: { reliability: [true, 4, 'text'] },
    needed: [],
  },
  createArtifactStore: {
    open: (options) => createArtifactStore(memory, options),
    sound: {},
    wrong: { prefix: [...notTexts, '', '..', 'a//b'], reliability: [true, 4, 'text'] },
    needed: [],
  },
  checkStore: {
    open: (options) => checkStore(memory, options),
    sound: { checks: [] },
    wrong: {
      checks: [...notTexts, 'all', [4]],
      fixtures: notObjects,
      secrets: [null, 'secret', [4]],
      stuckAfterMs: [...notNumbers, 0],
      onResult: notFunctions,
      signal: notSignals,
    },
    needed: [],
  },
  runChecks: {
    open: (options) => runChecks(() => memory, options),
    sound: { checks: [] },
    wrong: { checks: ['all'], secrets: ['secret'], stuckAfterMs: [Number.NaN], signal: notSignals },
    needed: [],
  },
} // prettier-ignore

/** Clients cannot be shown whole. */
function describeValue(value: unknown): string {
  return typeof value === 'object' && value !== null ? value.constructor.name : String(value)
}

async function failureOf(call: () => unknown): Promise<WorkspaceError | null> {
  try {
    await call()
    return null
  } catch (error) {
    if (WorkspaceError.is(error)) return error
    throw error
  }
}

describe.each(Object.entries(factories))('%s', (factory, { open, sound, wrong, needed }) => {
  const wrongValues = Object.entries(wrong).flatMap(([name, values]) =>
    values.map((value) => [name, value] as const),
  )

  it('refuses values that no option of it can have, and says what each must be', async () => {
    for (const [name, value] of wrongValues) {
      const failure = await failureOf(() => open({ ...sound, [name]: value }))
      const shown = `${name}: ${describeValue(value)}`
      expect([shown, failure?.code, failure?.message]).toEqual([shown, 'INVALID_INPUT', expect.stringMatching(/ must be | looks like | takes |prefix|is not usable|is not a URL/)])
    }
  }) // prettier-ignore

  it('refuses an option that it does not have, and options that are none', async () => {
    expect((await failureOf(() => open({ ...sound, noSuchOption: true })))?.code).toBe('INVALID_INPUT')
    for (const options of [null, 'text', 5]) {
      const failure = await failureOf(() => open(options as never))
      expect(failure?.code).toBe('INVALID_INPUT')
      if (factory === 'the retry of an adapter') continue
      expect(failure?.message).toContain('as an object, with: ')
      for (const name of Object.keys(wrong)) expect(failure?.message).toContain(name)
    }
  })

  it('says what it needs', async () => {
    for (const name of needed) {
      const failure = await failureOf(() => open({ ...sound, [name]: undefined }))
      expect([name, failure?.code]).toEqual([name, 'INVALID_INPUT'])
      expect(failure?.message).toMatch(/needs/)
    }
  })
})

it('takes clients, buckets and prefixes of every kind that works', () => {
  const prefixes = [undefined, '', 'a', 'a/', 'a/b', 'ä b/…']
  for (const prefix of prefixes) {
    s3Store({ bucket: 'bucket', prefix, client: s3Client })
    gcsStore({ bucket: gcsBucket, prefix, agent: new Agent() })
    supabaseStore({ client: { storage: supabaseClient }, bucket: "my bucket's (old)", prefix })
    azureStore({ container, prefix })
  }
  s3Store({ bucket: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/name' })
  s3Store({ bucket: 'bucket', client: Object.assign(Object.create(null) as object, s3Config) })
})

const stores: Readonly<Record<string, () => ObjectStore>> = {
  memory: () => memoryStore(),
  local: () => localStore({ root: '/nonexistent/store', create: false }),
  s3: () => s3Store({ bucket: 'bucket', client: s3Client }),
  gcs: () => gcsStore({ bucket: gcsBucket }),
  supabase: () => supabaseStore({ client: supabaseClient, bucket: 'bucket' }),
  azure: () => azureStore({ container }),
}

describe.each(Object.entries(stores))('a call of the %s store', (_, open) => {
  const body = Buffer.from('x')
  const calls: Readonly<Record<string, { readonly call: (store: ObjectStore, options: never) => unknown; readonly wrong: Readonly<Record<string, readonly unknown[]>> }>> = {
    get: { call: (store, options) => store.get('a', options), wrong: { signal: notSignals, range: [null, 'bytes=0-1', {}, { start: '0' }, { start: -1 }, { start: Number.NaN }], reusesChunks: notFlags, rnage: [{ start: 0 }] } },
    head: { call: (store, options) => store.head('a', options), wrong: { signal: notSignals } },
    delete: { call: (store, options) => store.delete('a', options), wrong: { signal: notSignals } },
    list: { call: (store, options) => Array.fromAsync(store.list('', options)), wrong: { signal: notSignals, startAfter: notTexts, after: ['a'] } },
    put: { call: (store, options) => store.put('a', body, options), wrong: { ifAbsent: notFlags, ifMatch: [...notTexts, ''], bare: notFlags, size: notCounts, contentType: [...notTexts, ''], metadata: [...notObjects, { a: 5 }, { A: 'a' }], signal: notSignals, onProgress: notFunctions, ifabsent: [true] } },
  } // prettier-ignore

  it.each(Object.entries(calls))('%s refuses options that cannot be meant, and sends nothing', async (_name, { call, wrong }) => {
    const store = open()
    for (const [name, values] of Object.entries(wrong))
      for (const value of values) {
        const failure = await failureOf(() => call(store, { [name]: value } as never))
        expect([name, value, failure?.code]).toEqual([name, value, 'INVALID_INPUT'])
      }
    expect((await failureOf(() => call(store, null as never)))?.code).toBe('INVALID_INPUT')
  }) // prettier-ignore

  it('refuses a key that is no text', async () => {
    const store = open()
    for (const key of [null, undefined, 5, {}, ['a']] as never[])
      for (const call of [() => store.get(key), () => store.head(key), () => store.delete(key), () => store.put(key, body), () => Array.fromAsync(store.list(key))])
        expect((await failureOf(call))?.code).toBe('INVALID_INPUT')
  }) // prettier-ignore

  it('a signed URL is for a method that there is, and for a time', async () => {
    const store = open()
    if (store.signedUrl === undefined) return expect(store.capabilities.signedUrls).toBe(false)
    const wrong = [null, {}, { method: 'get' }, { method: 'DELETE' }, ...[...notNumbers, 0].map((expiresInMs) => ({ method: 'GET', expiresInMs })), { method: 'GET', expires: 5 }]
    for (const options of wrong)
      expect([options, (await failureOf(() => store.signedUrl?.('a', options as never)))?.code]).toEqual([options, 'INVALID_INPUT'])
  }) // prettier-ignore
})

it.each([
  's3://a%2Fb',
  's3://..',
  's3://bucket/../other',
  's3://bucket/a/%2e%2e/b',
  's3://bucket/a//b',
  's3://bucket/a%00b',
  's3://bucket/a%5Cb',
  's3://bucket?region=a&region=b',
  's3://bucket?region=eu%20west',
  'gs://a%2Fb/c',
  'gs://bucket//a',
  'supabase://%2e%2e/a',
  'supabase://bucket?url=https://a.example&url=https://b.example',
  'azure://..',
  'azure://container?account=a.evil.example%2F',
])('the URL %s opens nothing', async (url) => {
  await expect(openStore(url)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
})
