import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import {
  WorkspaceError,
  probeStore,
  withCapabilities,
  type ObjectStore,
  type PutOptions,
} from '../../src/index.ts'

const bytes = Buffer.from('x')
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function withPut(change: (store: ObjectStore) => ObjectStore['put']): ObjectStore {
  const store = memoryStore()
  return { ...store, put: change(store) }
}

/** As old gateways do. */
const ignoring = withPut(
  (store) =>
    async (key, body, { ifAbsent: _ifAbsent, ifMatch: _ifMatch, ...options } = {}) =>
      store.put(key, body, options),
)

/** As services do that look first and write afterwards. */
const lookingFirst = withPut((store) => async (key, body, options: PutOptions = {}) => {
  const { ifAbsent, ifMatch, ...rest } = options
  const current = await store.head(key)
  await pause()
  if ((ifAbsent === true && current !== null) || (ifMatch !== undefined && current?.etag !== ifMatch))
    throw new WorkspaceError('CONFLICT', 'The condition does not hold.')
  return store.put(key, body, rest)
})

const refusing = withPut((store) => async (key, body, options = {}) => {
  if (options.ifAbsent === true || options.ifMatch !== undefined)
    throw new WorkspaceError('UNSUPPORTED', 'Not implemented.')
  return store.put(key, body, options)
})

async function keysOf(store: ObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys
}

describe('probeStore', () => {
  it.each([
    ['keeps its conditions', memoryStore(), 'atomic', /of 16 racing puts one won/],
    ['ignores conditions', ignoring, false, /ignored/],
    [
      'tests conditions before it writes',
      lookingFirst,
      'checked',
      /\d+ of 16 racing puts were told that they won/,
    ],
    ['refuses conditions', refusing, false, /refuses/],
  ] as const)(
    'finds what a store is worth that %s, and leaves nothing behind',
    async (_, store, found, evidence) => {
      const probe = await probeStore(store)
      expect(probe.findings.map((finding) => finding.found)).toEqual([found, found])
      for (const finding of probe.findings) expect(finding.evidence).toMatch(evidence)
      expect(probe.capabilities).toMatchObject({ createIfAbsent: found, replaceIfMatch: found })
      expect(probe.tooStrong).toHaveLength(found === 'atomic' ? 0 : 2)
      expect(await keysOf(store)).toEqual([])
    },
  )

  it('gives a store that refuses what the service would ignore', async () => {
    const { store } = await probeStore(ignoring)
    await expect(store.put('a', bytes, { ifAbsent: true })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(store.put('a', bytes, { ifMatch: 'x' })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(await store.head('a')).toBeNull()
    await store.put('a', bytes)
  })

  it('does not believe more than what is claimed', async () => {
    const modest = withCapabilities(memoryStore(), { createIfAbsent: 'checked' })
    const probe = await probeStore(modest)
    expect(probe.findings[0]).toMatchObject({ claimed: 'checked', found: 'atomic' })
    expect(probe.capabilities.createIfAbsent).toBe('checked')
    expect(probe.tooStrong).toEqual([])
  })

  it('finds a condition that fails with the current etag of no use', async () => {
    const quoting = withPut((store) => async (key, body, options = {}) => {
      if (options.ifMatch !== undefined) throw new WorkspaceError('CONFLICT', 'Quoted twice.')
      return store.put(key, body, options)
    })
    const { capabilities } = await probeStore(quoting)
    expect(capabilities).toMatchObject({ createIfAbsent: 'atomic', replaceIfMatch: false })
  })

  it('passes on an outage, and an abort, and cleans up', async () => {
    let puts = 0
    const failing = withPut((store) => async (key, body, options) => {
      puts += 1
      if (puts === 5) throw new WorkspaceError('UNAVAILABLE', 'The service is down.')
      return store.put(key, body, options)
    })
    await expect(probeStore(failing)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await keysOf(failing)).toEqual([])
    const reason = new Error('enough')
    await expect(probeStore(memoryStore(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('withCapabilities', () => {
  it('cannot make a claim stronger', () => {
    const weak = withCapabilities(memoryStore(), { createIfAbsent: 'checked', rangeReads: false })
    const again = withCapabilities(weak, { createIfAbsent: 'atomic', rangeReads: true, signedUrls: true })
    expect(again.capabilities).toEqual(weak.capabilities)
  })

  it('refuses ranges that are no longer claimed, and leaves signedUrl off', async () => {
    const signing: ObjectStore = {
      ...memoryStore(),
      capabilities: { ...memoryStore().capabilities, signedUrls: true },
      signedUrl: async () => new URL('https://example.com'),
    }
    const weak = withCapabilities(signing, { rangeReads: false, signedUrls: false })
    await weak.put('a', bytes)
    await expect(weak.get('a', { range: { start: 0 } })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(await weak.get('a')).not.toBeNull()
    expect('signedUrl' in weak).toBe(false)
    expect('signedUrl' in withCapabilities(signing, {})).toBe(true)
  })
})
