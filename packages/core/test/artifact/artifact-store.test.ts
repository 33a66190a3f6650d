import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createArtifactStore, readOnly, withPrefix, type ObjectStore } from '../../src/index.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'artifacts-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const stores: Record<string, () => ObjectStore> = {
  memory: memoryStore,
  local: () => localStore({ root }),
  'a store with the least capabilities': () => weakest(memoryStore()),
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size)
}

describe.each(Object.entries(stores))('on %s', (_, open) => {
  it('gives back bytes, text and streams of unknown length, with their SHA-256', async () => {
    const artifacts = createArtifactStore(open())
    const bytes = Buffer.alloc(3_000_001, 'abc')
    await artifacts.put('bytes', bytes)
    await artifacts.put('text', 'größe 😀')
    const info = await artifacts.put('run/stream', inChunks(bytes, 70_000), { contentType: 'text/x-diff' })
    expect(info).toMatchObject({
      key: 'run/stream',
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      contentType: 'text/x-diff',
    })
    expect(Buffer.from((await artifacts.get('bytes')) ?? []).equals(bytes)).toBe(true)
    expect(Buffer.from((await artifacts.get('text')) ?? []).toString()).toBe('größe 😀')
    const opened = await artifacts.open('run/stream')
    const chunks: Uint8Array[] = []
    for await (const chunk of opened?.body ?? []) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
    expect(opened?.info).toEqual(info)
  })

  it('lists in key order with the same information as put gave', async () => {
    const artifacts = createArtifactStore(open())
    const names = Array.from({ length: 20 }, (_, index) => `run-${index}/patch`)
    const infos = []
    for (const name of names) infos.push(await artifacts.put(name, name, { contentType: 'text/plain' }))
    const listed = []
    for await (const info of artifacts.list('run-')) listed.push(info)
    expect(listed).toEqual(infos.toSorted((left, right) => (left.key < right.key ? -1 : 1)))
  })

  it('overwrites, deletes twice, and gives null for what is absent', async () => {
    const artifacts = createArtifactStore(open())
    await artifacts.put('a', 'first, and longer')
    await artifacts.put('a', '')
    expect((await artifacts.get('a'))?.length).toBe(0)
    await artifacts.delete('a')
    await artifacts.delete('a')
    expect(await artifacts.get('a')).toBe(null)
    expect(await artifacts.open('a')).toBe(null)
    expect((await collect(artifacts.list())).length).toBe(0)
  })

  it('keeps the old artifact when the source of the new one fails', async () => {
    const artifacts = createArtifactStore(open())
    await artifacts.put('a', 'old')
    const failure = new Error('the source broke')
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('new')
      throw failure
    }
    await expect(artifacts.put('a', failing())).rejects.toBe(failure)
    expect(Buffer.from((await artifacts.get('a')) ?? []).toString()).toBe('old')
  })

  it('reports damage of any byte as CORRUPT with the key, from get and at the end of open', async () => {
    const store = open()
    const artifacts = createArtifactStore(store)
    await artifacts.put('a', 'content of some length')
    const found = await store.get('artifacts/a')
    const whole = Buffer.concat(await collect(found?.body ?? []))
    for (let position = 0; position < whole.length; position += 7) {
      const bytes = Buffer.from(whole)
      bytes[position] = (bytes[position] ?? 0) ^ 0x40
      await store.put('artifacts/a', bytes)
      const read = async (): Promise<unknown> => {
        const opened = await artifacts.open('a')
        return collect(opened?.body ?? [])
      }
      await expect(artifacts.get('a')).rejects.toMatchObject({ code: 'CORRUPT', details: { key: 'a' } })
      await expect(read()).rejects.toMatchObject({ code: 'CORRUPT', details: { key: 'a' } })
    }
    for (const length of [0, 1, 10, whole.length - 1]) {
      await store.put('artifacts/a', whole.subarray(0, length))
      await expect(artifacts.get('a')).rejects.toMatchObject({ code: 'CORRUPT', details: { key: 'a' } })
      await expect(artifacts.open('a')).rejects.toMatchObject({ code: 'CORRUPT', details: { key: 'a' } })
    }
  })
})

it('refuses to load more than maxBytes into memory', async () => {
  const artifacts = createArtifactStore(memoryStore())
  await artifacts.put('a', 'x'.repeat(1_000))
  await expect(artifacts.get('a', { maxBytes: 999 })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
  expect((await artifacts.get('a', { maxBytes: 1_000 }))?.length).toBe(1_000)
})

it('stays below its prefix', async () => {
  const store = memoryStore()
  const artifacts = createArtifactStore(store, { prefix: 'task-7/out' })
  await store.put('task-7/outside', Buffer.from('x'))
  await artifacts.put('a', 'x')
  await expect(artifacts.put('../a', 'x')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  expect((await collect(store.list(''))).map(({ key }) => key)).toEqual(['task-7/out/a', 'task-7/outside'])
  expect((await collect(artifacts.list())).map(({ key }) => key)).toEqual(['a'])
})

it('works over other layers', async () => {
  const store = memoryStore()
  await createArtifactStore(withPrefix(store, 'x')).put('a', 'text')
  const reader = createArtifactStore(readOnly(withPrefix(store, 'x')))
  expect(Buffer.from((await reader.get('a')) ?? []).toString()).toBe('text')
  await expect(reader.put('a', 'other')).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
})

async function collect<T>(items: AsyncIterable<T> | readonly T[]): Promise<T[]> {
  const collected: T[] = []
  for await (const item of items) collected.push(item)
  return collected
}

function weakest(store: ObjectStore): ObjectStore {
  const capabilities = {
    createIfAbsent: false,
    replaceIfMatch: false,
    rangeReads: false,
    metadata: false,
    signedUrls: false,
  } as const
  return {
    ...store,
    capabilities,
    get: async (key, options) => {
      if (options?.range !== undefined) throw new Error('no ranges here')
      return store.get(key, options)
    },
  }
}

it.each([
  ['get', 'a', { maxBytes: Number.NaN }],
  ['get', 'a', { maxBytes: '5' }],
  ['get', 'a', null],
  ['open', 'a', { maxBytes: 5 }],
  ['put', 'a', 'x', { metadata: {} }],
  ['put', 'a', 'x', null],
  ['put', 'a', new Blob(['x'])],
  ['put', 'a', ReadableStream.from([null])],
  ['put', 'a'],
] as const)('%s with %j, %j, %j is refused', async (method, ...call) => {
  const artifacts = createArtifactStore(memoryStore()) as unknown as Record<
    string,
    (...given: readonly unknown[]) => Promise<unknown>
  >
  await expect(artifacts[method]?.(...call)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
})
