import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkspaceError, createBundleStore, type ObjectStore } from '@ws/core'
import { localStore } from '@ws/store-local'
import { captivePortal, startFaultProxy, type Answer, type Fault, type FaultProxy } from '@ws/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { troubledServices, type Service } from './troubled-services.ts'

/** What goes wrong with an object on its way down, after so many bytes. Each is an error, before or at the end of the body. */
const damagesAt = (bytes: number): Readonly<Record<string, Fault>> => ({
  'a download that is cut': { kind: 'cut-down', afterBytes: bytes },
  'a download that is shorter than the object, in headers that agree': { kind: 'shorten', toBytes: bytes },
  'wrong bytes for the checksum': { kind: 'flip-down', atByte: bytes },
  'a server that says the object is longer': { kind: 'headers', headers: { 'content-length': '300000' } },
  'HTML in the place of an object': captivePortal,
})

const content = Buffer.alloc(200_000, 'content')

const asJson = { 'content-type': 'application/json' }
/** What stands between the client and the service answers so. */
const foreignAnswers: readonly Answer[] = [
  { status: 200 },
  { status: 202 },
  { status: 302, headers: { location: 'http://127.0.0.1:9/login' } },
  { status: 200, headers: asJson, body: '{}' },
  { status: 200, headers: asJson, body: '[]' },
  { status: 404, headers: asJson, body: '{"message":"no Route matched with those values"}' },
  {
    status: 404,
    headers: asJson,
    body: '{"message":"Route GET:/storage/v1/object/bucket/key not found","error":"Not Found","statusCode":404}',
  },
  { status: 204 },
  ...[400, 404, 405, 409, 410, 416, 451, 502, 511].map((status) => ({ status })),
]

async function read(store: ObjectStore, key: string): Promise<Buffer | null> {
  const found = await store.get(key)
  return found === null ? null : Buffer.concat(await Array.fromAsync(found.body))
}

async function failureOf(call: Promise<unknown>): Promise<WorkspaceError> {
  const error: unknown = await call.then(
    (value) => expect.fail(`it gave ${String(value).slice(0, 100)}`),
    (reason: unknown) => reason,
  )
  if (!WorkspaceError.is(error)) throw error
  return error
}

async function* stream(): AsyncGenerator<Uint8Array> {
  yield content
}

const changes: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  put: (store) => store.put('old', Buffer.from('new')),
  'put of a stream': (store) => store.put('new', stream()),
  delete: (store) => store.delete('old'),
}
const calls: typeof changes = {
  ...changes,
  get: (store) => read(store, 'old'),
  head: (store) => store.head('old'),
  list: (store) => Array.fromAsync(store.list('')),
}

describe.each(Object.entries(troubledServices))('%s', (_, adapter) => {
  const { refusals } = adapter
  let service: Service
  let proxy: FaultProxy
  let sound: ObjectStore
  let troubled: ObjectStore
  let workspace: string
  beforeAll(async () => {
    service = await adapter.start()
    proxy = await startFaultProxy({ target: service.origin })
    sound = service.open(service.origin)
    troubled = service.open(proxy.origin)
    workspace = mkdtempSync(join(tmpdir(), 'ws-bad-input-'))
    writeFileSync(join(workspace, 'file'), content)
    await createBundleStore(sound).save('w', workspace, { message: 'first' })
    await sound.put('old', content)
  })
  afterAll(async () => {
    rmSync(workspace, { recursive: true, force: true })
    await proxy.stop()
    await service.stop()
  })
  beforeEach(() => proxy.reset())

  /** Neither the store nor the directory shows anything of the failed call. */
  async function assertNothingChanged(): Promise<void> {
    expect((await read(sound, 'old'))?.equals(content)).toBe(true)
    const keys = (await Array.fromAsync(sound.list(''))).map(({ key }) => key)
    expect(keys.filter((key) => !/^(?:packs\/|workspaces\/|format$)/.test(key))).toEqual(['old'])
    expect(await Array.fromAsync(createBundleStore(sound).history('w'))).toHaveLength(1)
  }

  it.each(Object.entries(refusals))('%s: every call says what to do, and nothing changes', async (word, refusal) => {
    const { answer, code, says } = refusal
    // A HEAD is refused without a word, so that only a look at the rest tells why.
    const match = ({ method }: { method: string }): boolean =>
      word === 'read-only credential' || word === 'object locked' ? !['GET', 'HEAD'].includes(method) : true
    proxy.inject({ match, times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', ...answer } })
    const affected = match({ method: 'GET' }) ? calls : changes
    for (const [name, call] of Object.entries(affected)) {
      const failure = await failureOf(call(troubled))
      expect([name, failure.code]).toEqual([name, code])
      expect(failure.message).toMatch(says)
    }
    await assertNothingChanged()
  }) // prettier-ignore

  it.each(foreignAnswers.map((answer) => [`${answer.status} ${answer.body ?? ''}`, answer] as const))('an answer that the service never gives is an outage, not a refusal, an absence or a success: %s', async (_name, answer) => {
    // Something to compare with.
    await troubled.head('old')
    proxy.inject({ times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', ...answer } })
    const bare = (store: ObjectStore) => store.put('new', content, { ifAbsent: true, bare: true })
    const range = (store: ObjectStore) => store.get('old', { range: { start: 1, end: 2 } })
    for (const [name, call] of Object.entries({ ...calls, bare, range })) {
      // Services that name no requests say no more to a delete themselves.
      if (name === 'delete' && answer.status === 204 && !adapter.namesRequests) continue
      // To a request for a range, that is an answer.
      if (name === 'range' && answer.status === 416) continue
      const failure = await failureOf(call(troubled))
      expect([name, failure.code]).toEqual([name, 'UNAVAILABLE'])
      expect(failure.message).toMatch(/look for a proxy|[Cc]heck the endpoint|before the service|[Tt]ry again/)
    }
    proxy.reset()
    await assertNothingChanged()
  }) // prettier-ignore

  it.each([
    [429, '7'],
    [503, '7'],
    [429, 'Wed, 25 Nov 2026 12:00:07 GMT'],
    [503, 'Wed, 25 Nov 2026 12:00:07 GMT'],
  ])('a service that has too much to do (%d) is told apart from a strange one, and its delay is passed on: %s', async (status, delay) => {
    const headers = { date: 'Wed, 25 Nov 2026 12:00:00 GMT', 'retry-after': delay }
    proxy.inject({ times: Number.POSITIVE_INFINITY, fault: { kind: 'answer', status, headers } })
    for (const [name, call] of Object.entries(calls)) {
      const failure = await failureOf(call(troubled))
      expect([name, failure.code, failure.details['retryAfterMs']]).toEqual([name, 'UNAVAILABLE', 7_000])
      expect(failure.message).not.toMatch(/proxy|endpoint/)
    }
  }) // prettier-ignore

  it('a body that a proxy finds too large is too large, not an outage', async () => {
    const fault = { kind: 'answer', status: 413, headers: { 'content-type': 'text/html' }, body: '<html>too large</html>' } as const
    proxy.inject({ times: Number.POSITIVE_INFINITY, fault })
    for (const body of [content, stream()]) {
      const failure = await failureOf(troubled.put('new', body))
      expect([failure.code, failure.message]).toEqual(['QUOTA_EXCEEDED', expect.stringMatching(/allows|of this size/)])
    }
    proxy.reset()
    await assertNothingChanged()
  }) // prettier-ignore

  it('a range from a server that does not say which bytes they are is not believed', async () => {
    proxy.inject({ times: Number.POSITIVE_INFINITY, fault: { kind: 'headers', headers: { 'content-range': null } } })
    for (const start of [0, 10]) {
      const found = await troubled.get('old', { range: { start, end: 100 } }).catch((error: unknown) => error)
      // Where the size is told otherwise, the answer is as good.
      if (WorkspaceError.is(found)) expect(['UNAVAILABLE', 'UNSUPPORTED']).toContain(found.code)
      else expect(found).toMatchObject({ info: { size: content.length } })
    }
  }) // prettier-ignore

  it.each(Object.entries(damagesAt(50_000)))('%s is an error, and no byte is taken for the object', async (_, fault) => {
    const match = ({ method, url }: { method: string; url: string }): boolean =>
      method === 'GET' && /old(?:\?|$)/.test(url) && !url.includes('/info/')
    proxy.inject({ match, times: Number.POSITIVE_INFINITY, fault })
    expect(['UNAVAILABLE', 'CORRUPT']).toContain((await failureOf(read(troubled, 'old'))).code)
    await assertNothingChanged()
  }) // prettier-ignore

  it.each(Object.entries({ ...damagesAt(100), 'an outage': { kind: 'reset' } as const }))(
    '%s: a load leaves the directory as it is',
    async (_what, fault) => {
      const directory = mkdtempSync(join(tmpdir(), 'ws-bad-input-'))
      try {
        mkdirSync(join(directory, 'mine'))
        writeFileSync(join(directory, 'mine', 'edited'), 'by me')
        writeFileSync(join(directory, 'file'), 'other content')
        proxy.inject({
          match: ({ method, url }) => method === 'GET' && url.includes('packs') && !url.includes('/info/'),
          times: Number.POSITIVE_INFINITY,
          fault,
        })
        const versions = createBundleStore(troubled, { reliability: false })
        expect(['UNAVAILABLE', 'CORRUPT', 'UNSUPPORTED']).toContain(
          (await failureOf(versions.load('w', directory))).code,
        )
        expect(readFileSync(join(directory, 'mine', 'edited'), 'utf8')).toBe('by me')
        expect(readFileSync(join(directory, 'file'), 'utf8')).toBe('other content')
        expect(readdirSync(directory).toSorted()).toEqual(['file', 'mine'])
      } finally {
        rmSync(directory, { recursive: true, force: true })
      }
    },
  )

  it('bytes that change on their way up are an error, and no object', async () => {
    const match = ({ method, headers }: { method: string; headers: object }): boolean =>
      /PUT|POST/.test(method) &&
      Number((headers as { 'content-length'?: string })['content-length'] ?? Number.POSITIVE_INFINITY) > 100_000
    proxy.inject({ match, times: Number.POSITIVE_INFINITY, fault: { kind: 'flip-up', atByte: 100_000 } })
    for (const body of [content, stream()])
      expect(['UNAVAILABLE', 'CORRUPT']).toContain((await failureOf(troubled.put('new', body))).code)
    await assertNothingChanged()
  }) // prettier-ignore

  it('a key or metadata that is too long, and a size that is wrong, are refused before anything is sent', async () => {
    const { maxKeyBytes = 900 } = sound.capabilities
    const asked = proxy.requests.length
    const long = 'k'.repeat(maxKeyBytes + 200)
    for (const call of [() => troubled.put(long, content), () => troubled.get(long), () => troubled.put('new', content, { metadata: { a: 'x'.repeat(3_000) } })])
      expect(await failureOf(call())).toMatchObject({ code: 'INVALID_INPUT' })
    expect(proxy.requests.length).toBe(asked)
    for (const size of [content.length - 1, content.length + 1])
      for (const body of [content, stream()])
        expect(await failureOf(troubled.put('new', body, { size }))).toMatchObject({ code: 'INVALID_INPUT' })
    await assertNothingChanged()
  }) // prettier-ignore
})

describe('local', () => {
  it('says what is wrong with a file that is no whole object, and shows none of it', async () => {
    const root = mkdtempSync(join(tmpdir(), 'ws-bad-input-'))
    try {
      const store = localStore({ root })
      const spoil: Readonly<Record<string, (path: string) => void>> = {
        truncated: (path) => truncateSync(path, 50_000),
        'of wrong bytes': (path) => {
          const bytes = readFileSync(path)
          bytes[50_000] = (bytes[50_000] ?? 0) ^ 1
          writeFileSync(path, bytes)
        },
        'of a web page': (path) => writeFileSync(path, captivePortal.kind === 'answer' ? (captivePortal.body ?? '') : ''),
        'with its length wrong': (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('more')])),
      } // prettier-ignore
      for (const [name, make] of Object.entries(spoil)) {
        await store.put(name, content)
        const path = join(root, `${encodeURIComponent(name)}%`)
        make(path)
        const failure = await failureOf(read(store, name))
        expect([name, failure.code]).toEqual([name, 'CORRUPT'])
      }
      for (const call of [
        () => store.put('k'.repeat(1_000), content),
        () => store.put('a', content, { metadata: { a: 'x'.repeat(3_000) } }),
        () => store.put('a', stream(), { size: 1 }),
      ])
        expect(await failureOf(call())).toMatchObject({ code: 'INVALID_INPUT' })
      expect(await store.head('a')).toBeNull()
      writeFileSync(join(root, 'no-directory'), '')
      const elsewhere = localStore({ root: join(root, 'no-directory') })
      for (const [name, call] of Object.entries(calls)) {
        const failure = await failureOf(call(elsewhere))
        expect([name, failure.code]).toEqual([name, 'INVALID_INPUT'])
      }
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  })
})
