import { Buffer } from 'node:buffer'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { conditionFailed, type ObjectStore, type PutOptions } from '@ws/core'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bindStore } from '../../../src/store/bind-store.ts'
import type { BundleStore } from '../../../src/bundle/bundle-store.ts'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import {
  parseVersionPath,
  REMOVED_VERSION,
  versionPath,
} from '../../../src/bundle/engine/repository/version-number.ts'

let base = ''
let source = ''
let store: ObjectStore
let bundles: BundleStore

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-versions-'))
  source = join(base, 'source')
  mkdirSync(join(source, 'sub'), { recursive: true })
  writeFileSync(join(source, 'f'), 'one')
  writeFileSync(join(source, 'sub/deep'), 'deep')
  store = memoryStore()
  bundles = createBundleStore(store)
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of iterable) found.push(each)
  return found
}

const keysOf = async (prefix: string): Promise<string[]> =>
  (await all(store.list(prefix))).map(({ key }) => key)
const save = (id = 'w', options: Partial<Parameters<BundleStore['save']>[2]> = {}) =>
  bundles.save(id, source, { message: '', ...options })

/** The store with its calls counted, and some of its methods replaced. */
function observed(inner: ObjectStore, methods: Partial<ObjectStore> = {}) {
  const calls = { get: 0, head: 0, put: 0, delete: 0, list: 0 }
  const layer: ObjectStore = { ...bindStore(inner), ...methods }
  const counted: ObjectStore = {
    name: layer.name,
    capabilities: layer.capabilities,
    get: (key, options) => ((calls.get += 1), layer.get(key, options)),
    head: (key, options) => ((calls.head += 1), layer.head(key, options)),
    put: (key, body, options) => ((calls.put += 1), layer.put(key, body, options)),
    delete: (key, options) => ((calls.delete += 1), layer.delete(key, options)),
    list: (prefix, options) => ((calls.list += 1), layer.list(prefix, options)),
  }
  return { calls, store: counted }
}

describe('a save', () => {
  it('beside another one lands after it with onConflict: rebase, and stores nothing again', async () => {
    await save()
    const other = createBundleStore(store)
    writeFileSync(join(source, 'f'), 'mine')
    let isFirst = true
    const { calls, store: slow } = observed(store, {
      async put(key, body, options?: PutOptions) {
        if (key.includes('/versions/') && isFirst) {
          isFirst = false
          await other.save('w', join(source, 'sub'), { message: 'winner' })
        }
        return store.put(key, body, options)
      },
    })
    const { version, report } = await createBundleStore(slow).save('w', source, {
      message: 'mine',
      onConflict: 'rebase',
    })
    expect([version.version, version.parent, report.comparedWith]).toEqual([3, 2, 1])
    // One pack, the record that lost, the record that won.
    expect(calls.put).toBe(3)
    await bundles.load('w', join(base, 'target'))
    expect(readFileSync(join(base, 'target/f'), 'utf8')).toBe('mine')
    expect(await bundles.readFile('w', 'deep', { version: 2 })).not.toBeNull()
  })

  it.each(['atomic', 'checked'] as const)(
    'takes the next number where retention keeps one taken above everything, on a store that creates %s',
    async (createIfAbsent) => {
      await save()
      await save('w', { message: 'second' })
      const record = (await all(store.list('workspaces/w/versions/')))[0]?.key ?? ''
      await store.put(record, REMOVED_VERSION)
      const odd = createBundleStore(
        observed({ ...bindStore(store), capabilities: { ...store.capabilities, createIfAbsent } }).store,
      )
      const made = await odd.save('w', source, { message: '' })
      expect([made.version.version, made.version.parent]).toEqual([3, 1])
      await store.put(record.replace(/[0-9]{8}\/[0-9]{2}$/, versionPath(4)), REMOVED_VERSION)
      const rebased = await odd.save('w', source, { message: '', onConflict: 'rebase' })
      expect([rebased.version.version, rebased.version.parent]).toEqual([5, 3])
      await store.put(record.replace(/w\/versions.*/, `v/versions/${versionPath(1)}`), REMOVED_VERSION)
      expect((await odd.fork('w', 'v')).version).toBe(2)
      await expect(odd.fork('w', 'v')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    },
  )

  it('gives up on a store that says a version exists and never shows it', async () => {
    await save()
    const { store: liar } = observed(store, {
      async put(key, body, options?: PutOptions) {
        if (key.includes('/versions/')) throw conditionFailed(key, 'ifAbsent')
        return store.put(key, body, options)
      },
    })
    for (const onConflict of ['fail', 'rebase'] as const)
      await expect(
        createBundleStore(liar).save('w', source, { message: '', onConflict }),
      ).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await all(bundles.history('w'))).toHaveLength(1)
  })

  it('made from an older version than the latest is refused, and lands after it with onConflict: rebase', async () => {
    await save()
    await save()
    const older = { message: 'made from the first', parent: 1 }
    await expect(bundles.save('w', source, older)).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { expected: 1, winner: 2 },
    })
    const { version } = await bundles.save('w', source, { ...older, onConflict: 'rebase' })
    expect([version.version, version.parent]).toEqual([3, 2])
  })

  it('on a warm workspace makes at most 3 puts, 1 list and no get, also at version 60', async () => {
    const cacheDirectory = join(base, 'cache')
    mkdirSync(cacheDirectory)
    const { calls, store: counted } = observed(store)
    const warm = createBundleStore(counted)
    for (let version = 1; version <= 60; version += 1) {
      appendFileSync(join(source, 'f'), String(version))
      Object.assign(calls, { get: 0, head: 0, put: 0, delete: 0, list: 0 })
      await warm.save('w', source, { message: '', cacheDirectory })
      if (version === 1) continue
      expect(calls.put, `version ${version}`).toBeLessThanOrEqual(3)
      expect({ ...calls, put: 0 }, `version ${version}`).toEqual({
        get: 0,
        head: 0,
        put: 0,
        delete: 0,
        list: 1,
      })
    }
  })

  it('of racing writers on a store that only tests the condition first: one wins, the others are told', async () => {
    const weak = (): ObjectStore =>
      observed(store, {
        capabilities: { ...store.capabilities, createIfAbsent: 'checked' },
        async put(key, body, options: PutOptions = {}) {
          const { ifAbsent, ...rest } = options
          if (ifAbsent && (await store.head(key)) !== null) return store.put(key, body, options)
          // Everybody has tested before anybody writes.
          await new Promise((resolve) => setTimeout(resolve, 5))
          return store.put(key, body, rest)
        },
      }).store
    await createBundleStore(weak()).save('w', source, { message: 'first' })
    const writers = await Promise.allSettled(
      Array.from({ length: 12 }, (_, index) =>
        createBundleStore(weak()).save('w', source, { message: String(index), parent: 1 }),
      ),
    )
    const winners = writers.filter((each) => each.status === 'fulfilled')
    expect(winners).toHaveLength(1)
    for (const each of writers)
      if (each.status === 'rejected')
        expect(each.reason).toMatchObject({ code: 'CONFLICT', details: { winner: 2 } })
    expect((await bundles.version('w'))?.message).toBe(winners[0]?.value.version.message)
    // Those of the writers that have won; nobody else is waited for.
    const records = await all(bundles.history('w'))
    expect(await keysOf('workspaces/w/claims/')).toHaveLength(records.length)
  })
})

describe('a fork', () => {
  it('is one record, shares content, and outlives its source', async () => {
    await save()
    const packs = await keysOf('packs/')
    const { calls, store: counted } = observed(store)
    const fork = await createBundleStore(counted).fork('w', 'fork')
    expect(calls).toMatchObject({ put: 1 })
    expect(fork).toMatchObject({ version: 1, parent: null, forkedFrom: { workspaceId: 'w', version: 1 } })
    expect(await keysOf('packs/')).toEqual(packs)
    expect(
      (await bundles.usage()).workspaces.map(({ ownBytes, sharedBytes }) => [ownBytes, sharedBytes > 0]),
    ).toEqual([
      [0, true],
      [0, true],
    ])
    await bundles.delete('w')
    await bundles.prune(null, { exclusive: true })
    await bundles.load('fork', join(base, 'target'))
    expect(readFileSync(join(base, 'target/sub/deep'), 'utf8')).toBe('deep')
  })

  it('of a fork of a fork, a hundred deep, costs and loads like the first', async () => {
    await save()
    const requests: number[] = []
    for (let depth = 0; depth < 100; depth += 1) {
      const { calls, store: counted } = observed(store)
      await createBundleStore(counted).fork(depth === 0 ? 'w' : `f${depth - 1}`, `f${depth}`)
      requests.push(Object.values(calls).reduce((sum, count) => sum + count, 0))
    }
    expect(new Set(requests).size).toBe(1)
    for (let depth = 0; depth < 99; depth += 1) await bundles.delete(`f${depth}`)
    expect((await bundles.load('f99', join(base, 'target')))?.report.files).toBe(2)
  })

  it('says NOT_FOUND and ALREADY_EXISTS', async () => {
    await expect(bundles.fork('w', 'x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await save()
    await expect(bundles.fork('w', 'x', { version: 2 })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(bundles.fork('w', 'w')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
  })

  it('can start from a template, to which nothing can be saved', async () => {
    await save('t', { template: true })
    await expect(save('t')).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    await expect(save('t', { onConflict: 'rebase' })).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    expect(await bundles.fork('t', 'w')).toMatchObject({ template: false })
    expect((await save('w')).version.version).toBe(2)
    expect(await bundles.fork('w', 't2', { template: true })).toMatchObject({ template: true })
    await expect(save('t2')).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
  })
})

describe('tags', () => {
  it('are given with a save, set and taken away later, and protect from retention', async () => {
    await save('w', { tags: ['a', 'b'] })
    await save()
    await save()
    await bundles.tag('w', 2, 'release')
    await bundles.untag('w', 1, 'a')
    await bundles.untag('w', 3, 'absent')
    expect((await all(bundles.history('w'))).map(({ tags }) => tags)).toEqual([[], ['release'], ['b']])
    await expect(bundles.tag('w', 9, 'x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(bundles.tag('w', 1, '../x')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    const result = await bundles.prune({ keepLast: 1, keepTagged: ['release'] }, { exclusive: true })
    expect(result.removed).toEqual([{ workspaceId: 'w', version: 1 }])
    expect((await all(bundles.history('w'))).map(({ version }) => version)).toEqual([3, 2])
    expect(await bundles.load('w', join(base, 'target'), { version: 1 })).toBeNull()
  })
})

describe('a diff of versions', () => {
  it('lists what differs in path order, and reads nothing of equal directories', async () => {
    writeFileSync(join(source, 'gone'), '')
    await save()
    rmSync(join(source, 'gone'))
    writeFileSync(join(source, 'f'), 'other')
    mkdirSync(join(source, 'new'))
    writeFileSync(join(source, 'new/x'), 'x')
    await save()
    const changes = await all(bundles.diff('w', 1, 2))
    expect(changes.map(({ status, path }) => `${status} ${path}`)).toEqual([
      'changed f',
      'removed gone',
      'added new',
      'added new/x',
    ])
    expect(changes[0]).toMatchObject({
      contentChanged: true,
      before: { size: 3 },
      after: { size: 5, type: 'file' },
    })
    expect((await all(bundles.diff('w', 2, 1))).map(({ status }) => status)).toEqual([
      'changed',
      'added',
      'removed',
      'removed',
    ])
    expect(await all(bundles.diff('w', 2, 2))).toEqual([])
    await expect(all(bundles.diff('w', 1, 5))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('prune', () => {
  it('in a dry run says what it would do and writes nothing', async () => {
    for (const content of ['1', '2', '3']) {
      writeFileSync(join(source, 'f'), content)
      await save()
    }
    const before = await all(store.list(''))
    const plan = await bundles.prune({ keepLast: 1 }, { dryRun: true, exclusive: true })
    expect(plan.removed).toHaveLength(2)
    expect(await all(store.list(''))).toEqual(before)
    const done = await bundles.prune({ keepLast: 1 }, { exclusive: true })
    expect({ ...done, dryRun: true }).toEqual(plan)
    expect((await bundles.usage()).unreferencedBytes).toBe(0)
    await bundles.load('w', join(base, 'target'))
  })

  it('does what its dry run says, whatever the time of the policy and the grace time of earlier marks', async () => {
    const hourMs = 3_600_000
    const tooYoung = { now: new Date('2100-01-01') }
    await save()
    await bundles.delete('w')
    expect(await bundles.prune(null, { ...tooYoung, dryRun: true })).toEqual({
      ...(await bundles.prune(null, tooYoung)),
      dryRun: true,
    })
    const later = createBundleStore(aged(store))
    expect(await later.prune(null, { graceMs: 1000 * hourMs })).toMatchObject({ condemned: { packs: 0 } })
    expect(await later.prune(null, { graceMs: 47 * hourMs })).toMatchObject({ condemned: { packs: 1 } })
    const [mark = ''] = await keysOf('condemned/')
    await store.put(mark, Buffer.from(JSON.stringify({ graceMs: 1000 * hourMs })))
    const planned = await later.prune(null, { dryRun: true })
    expect(planned).toMatchObject({ deleted: { packs: 0 }, waiting: { packs: 1 } })
    expect(await later.prune(null)).toEqual({ ...planned, dryRun: false })
  })

  it('tells how many records it has read, versions it has removed, and packs it has looked at', async () => {
    for (const content of ['1', '2', '3']) {
      writeFileSync(join(source, 'f'), content)
      await save()
    }
    const told: string[] = []
    const packs = (await keysOf('packs/')).length
    await bundles.prune(
      { keepLast: 1 },
      {
        exclusive: true,
        onProgress: ({ phase, done, expected }) => told.push(`${phase} ${done}/${expected}`),
      },
    )
    const counted = (phase: string, upTo: number, expected: number | null): string[] =>
      Array.from({ length: upTo }, (_, index) => `${phase} ${index + 1}/${expected}`)
    expect(told).toEqual([
      ...counted('read', 3, 3),
      ...counted('remove', 2, 2),
      ...counted('collect', packs, null),
    ])
  })

  it('goes on counting after removed versions', async () => {
    for (let count = 0; count < 3; count += 1) await save()
    await bundles.prune({ keepLast: 1 }, { exclusive: true })
    expect((await save()).version).toMatchObject({ version: 4, parent: 3 })
  })

  it('removes nothing at all when a record cannot be read', async () => {
    for (let count = 0; count < 3; count += 1) await save('a')
    await save('z')
    const [key = ''] = await keysOf('workspaces/z/versions/')
    await store.put(key, Buffer.from('{}'))
    await expect(bundles.prune({ keepLast: 1 }, { exclusive: true })).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { key },
    })
    expect(await all(bundles.history('a'))).toHaveLength(3)
  })

  it('keeps the numbers of removed versions taken, so that no save slips in below newer ones', async () => {
    await save()
    let isFirst = true
    const { store: slow } = observed(store, {
      async put(key, body, options?: PutOptions) {
        if (key.includes('/versions/') && isFirst) {
          isFirst = false
          for (let count = 0; count < 3; count += 1) await save()
          await bundles.prune({ keepLast: 1 }, { exclusive: true })
        }
        return store.put(key, body, options)
      },
    })
    const late = createBundleStore(slow).save('w', source, { message: 'late' })
    await expect(late).rejects.toMatchObject({ code: 'CONFLICT', details: { winner: 4 } })
    expect((await all(bundles.history('w'))).map(({ version }) => version)).toEqual([4])
  })

  it('leaves a pack whose mark is taken away at the last moment, and deletes it when the mark stays', async () => {
    let takesAway = true
    const taking = observed(store, {
      async get(key, options) {
        if (key.startsWith('condemned/') && takesAway) await store.delete(key)
        return store.get(key, options)
      },
    }).store
    await save()
    await bundles.delete('w')
    const later = createBundleStore(aged(taking))
    expect(await later.prune(null)).toMatchObject({ condemned: { packs: 1 }, deleted: { packs: 0 } })
    expect(await later.prune(null)).toMatchObject({ deleted: { packs: 0 }, waiting: { packs: 1 } })
    expect(await keysOf('packs/')).toHaveLength(1)
    takesAway = false
    expect(await later.prune(null)).toMatchObject({ condemned: { packs: 1 } })
    expect(await later.prune(null)).toMatchObject({ deleted: { packs: 1 }, waiting: { packs: 0 } })
    expect([...(await keysOf('packs/')), ...(await keysOf('condemned/'))]).toEqual([])
  })

  it('refuses a grace time that is too short', async () => {
    await save()
    await expect(bundles.prune(null, { graceMs: 1000 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

/** The same store, with packs and marks that are two days older. */
function aged(given: ObjectStore): ObjectStore {
  const twoDaysMs = 172_800_000
  const older = <T extends { key: string; modifiedAt: Date }>(info: T): T =>
    /packs|condemned/.test(info.key)
      ? { ...info, modifiedAt: new Date(info.modifiedAt.getTime() - twoDaysMs) }
      : info
  return {
    ...given,
    async get(key, options) {
      const found = await given.get(key, options)
      return found === null ? null : { ...found, info: older(found.info) }
    },
    async *list(prefix, options) {
      for await (const info of given.list(prefix, options)) yield older(info)
    },
  }
}

describe('an encrypted store', () => {
  const key = new Uint8Array(32).fill(7)

  it('opens with its key or passphrase only, before anything is touched', async () => {
    for (const [encryption, wrong] of [
      [{ key }, { key: new Uint8Array(32) }],
      [{ passphrase: 'right' }, { passphrase: 'wrong' }],
    ] as const) {
      store = memoryStore()
      await createBundleStore(store, { encryption }).save('w', source, { message: 'secret message' })
      const before = await all(store.list(''))
      const other = createBundleStore(store, { encryption: wrong })
      await expect(other.save('w', source, { message: '' })).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
      await expect(other.load('w', join(base, 'target'))).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
      await expect(createBundleStore(store).exists('w')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      expect(await all(store.list(''))).toEqual(before)
      for (const info of before) {
        const object = await store.get(info.key)
        const text = Buffer.concat(await all(object?.body ?? (async function* none() {})())).toString(
          'latin1',
        )
        for (const secret of ['secret message', 'deep', 'sub']) expect(text).not.toContain(secret)
      }
      const again = createBundleStore(store, { encryption })
      expect((await again.load('w', join(base, `target-${'key' in encryption}`)))?.version.message).toBe(
        'secret message',
      )
      expect(await again.verify('w')).toMatchObject({ problems: [] })
    }
  })

  it('is not made out of one that is not, nor the other way round', async () => {
    await save()
    await expect(createBundleStore(store, { encryption: { key } }).exists('w')).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  })
})

describe('a store used for the first time', () => {
  it('by many at once becomes one repository', async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        createBundleStore(store, { encryption: { key: new Uint8Array(32) } }).save(`w${index}`, source, {
          message: '',
        }),
      ),
    )
    const encrypted = createBundleStore(store, { encryption: { key: new Uint8Array(32) } })
    for (let index = 0; index < 20; index += 1)
      expect((await encrypted.load(`w${index}`, join(base, 'target')))?.report.files).toBe(2)
  })

  it('is not written to by reading', async () => {
    expect(await all(bundles.list())).toEqual([])
    expect(await bundles.usage()).toMatchObject({ totalBytes: 0 })
    expect(await bundles.prune({ keepLast: 1 })).toMatchObject({ keptVersions: 0 })
    expect(await keysOf('')).toEqual([])
  })

  it('and written by a newer release is left alone', async () => {
    await save()
    const object = await store.get('format')
    const marker = Buffer.concat(await all(object?.body ?? (async function* none() {})())).toString()
    await store.put('format', Buffer.from(marker.replace('"version":1', '"version":2')))
    const later = createBundleStore(store)
    await expect(later.save('w', source, { message: '' })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(later.load('w', join(base, 'target'))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('keeps to its prefix', async () => {
    await createBundleStore(store, { prefix: 'team/a' }).save('w', source, { message: '' })
    expect((await keysOf('')).every((key) => key.startsWith('team/a/'))).toBe(true)
    expect(await createBundleStore(store, { prefix: 'team/a/' }).exists('w')).toBe(true)
    expect(await createBundleStore(store, { prefix: 'team/b' }).exists('w')).toBe(false)
  })
})

describe('the key of a version', () => {
  const numbers = [1, 2, 98, 99, 100, 101, 199, 200, 9_999, 10_000, 123_456, 9_999_999_998]

  it('says its number, in one form only', () => {
    expect(numbers.map((number) => parseVersionPath(versionPath(number)))).toEqual(numbers)
    const others = ['9999999998', '9999999/998', '99999999/9/8', '/9999999998', '99999999/98/', '99999999/99']
    expect(others.map(parseVersionPath)).toEqual(others.map(() => null))
  })

  it('lists the newest first, a hundred to a folder', async () => {
    const root = join(base, 'store')
    const local = localStore({ root, durability: 'none' })
    for (const number of numbers) await local.put(versionPath(number), new Uint8Array([1]))
    const listed = (await all(local.list(''))).map(({ key }) => parseVersionPath(key))
    expect(listed).toEqual(numbers.toReversed())
    expect(readdirSync(root).filter((name) => /^[0-9]+$/.test(name))).toHaveLength(7)
  })
})
