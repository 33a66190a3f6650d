import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { withCapabilities, WorkspaceError, type ObjectStore } from '@ws/core'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { leasePacks } from '../../../src/bundle/engine/repository/pack-safety.ts'
import { bindStore } from '../../../src/store/bind-store.ts'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'

let base = ''
let source = ''
let store: ObjectStore

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-requests-'))
  source = join(base, 'source')
  mkdirSync(join(source, 'a/b/c/d'), { recursive: true })
  writeFileSync(join(source, 'f'), 'one')
  writeFileSync(join(source, 'a/b/c/d/deep'), 'deep')
  store = memoryStore()
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

const cacheDirectory = (name = 'cache'): string => join(base, name)
/** Each time as a process that has just begun. */
const save = (to: ObjectStore, options: { parent?: number; cache?: string; directory?: string } = {}) =>
  createBundleStore(to).save('w', options.directory ?? source, {
    message: '',
    parent: options.parent,
    cacheDirectory: cacheDirectory(options.cache),
  })
const load = async (version?: number): Promise<string> => {
  const target = join(base, 'loaded')
  await createBundleStore(store).load('w', target, { version })
  return readFileSync(join(target, 'f'), 'utf8')
}
async function keys(prefix: string): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of store.list(prefix)) found.push(key)
  return found
}

/**
 * The store with a note of each call: how many calls had ended, one behind the other, when it began. An answer takes so
 * many turns of the event loop and not less: more than go by between calls that do not wait for each other.
 */
function traced(inner: ObjectStore, turns = 1) {
  let ended = 0
  const calls: { readonly what: string; readonly round: number }[] = []
  const call = async <T>(what: string, make: () => Promise<T>): Promise<T> => {
    const round = ended + 1
    calls.push({ what, round })
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    try {
      return await make()
    } finally {
      ended = Math.max(ended, round)
    }
  }
  const seen: ObjectStore = {
    name: inner.name,
    capabilities: inner.capabilities,
    get: (key, options) => call(`get ${key}`, () => inner.get(key, options)),
    head: (key, options) => call(`head ${key}`, () => inner.head(key, options)),
    put: (key, body, options) => call(`put ${key}`, () => inner.put(key, body, options)),
    delete: (key, options) => call(`delete ${key}`, () => inner.delete(key, options)),
    async *list(prefix, options) {
      const all = await call(`list ${prefix}`, async () => {
        const found = []
        for await (const info of inner.list(prefix, options)) found.push(info)
        return found
      })
      yield* all
    },
  }
  return { store: seen, rounds: () => Math.max(...calls.map(({ round }) => round)), calls }
}

it('a small save by a new process waits for three answers, one behind the other', async () => {
  await save(store)
  appendFileSync(join(source, 'f'), ' two')
  const { store: seen, rounds, calls } = traced(store)
  await save(seen)
  expect(calls.map(({ what }) => what.replace(/[0-9a-f]{32}/, '<id>'))).toEqual([
    'get format',
    'list workspaces/w/versions/',
    'put packs/<id>',
    'put workspaces/w/versions/99999999/97',
  ])
  expect(rounds()).toBe(3)
})

describe('on a store that only tests its conditions', () => {
  const claim = 'put workspaces/w/claims/9999999997/<id>-0'
  beforeEach(() => {
    store = withCapabilities(memoryStore(), { createIfAbsent: 'checked' })
  })

  it('a small save by a new process waits for four answers, one behind the other', async () => {
    await save(store)
    appendFileSync(join(source, 'f'), ' two')
    const { store: seen, rounds, calls } = traced(store)
    await save(seen)
    expect(calls.map(({ what, round }) => `${round} ${what.replace(/[0-9a-f]{32}/, '<id>')}`)).toEqual([
      `1 ${claim}`,
      '1 put packs/<id>',
      '2 get format',
      '2 list workspaces/w/versions/',
      '2 list workspaces/w/claims/',
      '3 put workspaces/w/versions/99999999/97',
      '4 get workspaces/w/versions/99999999/97',
    ])
    expect(rounds()).toBe(4)
  })

  it('a save with nothing to put but its record waits for four answers, too', async () => {
    await save(store)
    const { store: seen, rounds } = traced(store)
    await save(seen)
    expect(rounds()).toBe(4)
  })

  it('a save that began with an old version builds on the latest, and leaves no pack of the first attempt', async () => {
    await save(store)
    writeFileSync(join(source, 'f'), 'of another machine')
    await save(store, { cache: 'other machine' })
    writeFileSync(join(source, 'f'), 'mine')
    const { version } = await save(store)
    expect(version).toMatchObject({ version: 3, parent: 2 })
    expect(await load()).toBe('mine')
    expect(await keys('packs/')).toHaveLength(3)
    // Each of a record that is there.
    expect(await keys('workspaces/w/claims/')).toHaveLength(3)
  })

  it('a save of what was deleted and pruned meanwhile stores it anew', async () => {
    await save(store)
    await createBundleStore(store).delete('w')
    await createBundleStore(store).prune(null, { exclusive: true })
    const { version } = await save(store)
    expect(version).toMatchObject({ version: 1, parent: null })
    expect(await load()).toBe('one')
  })

  it('a workspace that was deleted begins anew without waiting for those who had saved to it', async () => {
    await save(store)
    await save(store)
    await createBundleStore(store).delete('w')
    expect(await keys('workspaces/')).toEqual([])
    const { store: seen, calls } = traced(store)
    await save(seen, { cache: 'new' })
    expect(calls.filter(({ what }) => what.startsWith('put workspaces/w/claims/'))).toHaveLength(1)
  })
})

it('the first save of all reads the directory while the repository is made', async () => {
  const isRead = Promise.withResolvers<void>()
  const waiting: ObjectStore = {
    ...traced(store).store,
    async get(key, options) {
      await isRead.promise
      return store.get(key, options)
    },
  }
  const onProgress = ({ filesDone }: { filesDone: number }): void => void (filesDone > 0 && isRead.resolve())
  const { version } = await createBundleStore(waiting).save('w', source, {
    message: '',
    cacheDirectory: cacheDirectory(),
    onProgress,
  })
  expect(version).toMatchObject({ version: 1, parent: null })
  expect(await load()).toBe('one')
})

it('a first save to a store that has a repository finds it, and stores nothing twice', async () => {
  await save(store)
  const saved = await createBundleStore(store).save('v', source, {
    message: '',
    cacheDirectory: cacheDirectory('new'),
  })
  expect(saved.version).toMatchObject({ version: 1, parent: null })
  expect(await keys('packs/')).toHaveLength(2)
  await createBundleStore(store).load('v', join(base, 'v'))
  expect(readFileSync(join(base, 'v/f'), 'utf8')).toBe('one')
  const { store: seen, rounds } = traced(store)
  await createBundleStore(seen).save('v', source, { message: '', cacheDirectory: cacheDirectory('new') })
  expect(rounds()).toBeLessThanOrEqual(3)
})

it('the same after a load instead of a save', async () => {
  await save(store)
  await createBundleStore(store).load('w', join(base, 'other'), { cacheDirectory: cacheDirectory('new') })
  appendFileSync(join(base, 'other/f'), ' two')
  const { store: seen, rounds } = traced(store)
  await save(seen, { cache: 'new', directory: join(base, 'other') })
  expect(rounds()).toBe(3)
})

it('the directory is read while the store is asked, and nothing is put before it has answered', async () => {
  await save(store)
  appendFileSync(join(source, 'f'), ' two')
  const isRead = Promise.withResolvers<void>()
  let hasAnswered = false
  const waiting: ObjectStore = {
    ...traced(store).store,
    async *list(prefix, options) {
      await isRead.promise
      await new Promise((resolve) => setImmediate(resolve))
      hasAnswered = true
      yield* store.list(prefix, options)
    },
    put: (key, body, options) => {
      expect(hasAnswered, `put ${key}`).toBe(true)
      return store.put(key, body, options)
    },
  }
  const saved = await createBundleStore(waiting).save('w', source, {
    message: '',
    cacheDirectory: cacheDirectory(),
    onProgress: ({ filesDone }) => void (filesDone > 0 && isRead.resolve()),
  })
  expect(saved.version).toMatchObject({ version: 2, parent: 1 })
  expect(await load()).toBe('one two')
})

it('a save that began with an old version builds on the latest, and leaves nothing of the first attempt', async () => {
  await save(store)
  writeFileSync(join(source, 'f'), 'of another machine')
  await save(store, { cache: 'other machine' })
  writeFileSync(join(source, 'f'), 'mine')
  const { version, report } = await save(store)
  expect(version).toMatchObject({ version: 3, parent: 2 })
  expect(report.comparedWith).toBe(2)
  expect(await load()).toBe('mine')
  expect(await load(2)).toBe('of another machine')
  expect(await keys('packs/')).toHaveLength(3)
})

it('a save that is to build on the version it knows is refused when there is a later one', async () => {
  await save(store)
  writeFileSync(join(source, 'f'), 'of another machine')
  await save(store, { cache: 'other machine' })
  await expect(save(store, { parent: 1 })).rejects.toMatchObject({
    code: 'CONFLICT',
    details: { expected: 1, winner: 2 },
  })
  expect(await keys('packs/')).toHaveLength(2)
})

it('what is known of one store is not taken for true of another', async () => {
  await save(store)
  const first = store
  store = memoryStore()
  const { version, report } = await save(store)
  expect(version).toMatchObject({ version: 1, parent: null })
  expect(report.comparedWith).toBeNull()
  const [there, here] = [await openRepository(first), await openRepository(store)]
  expect(here.marker.repository).not.toBe(there.marker.repository)
  expect(await load()).toBe('one')
  expect(await keys('packs/')).toHaveLength(1)
  store = first
  expect((await save(store)).version.version).toBe(2)
})

it('the same of two encrypted ones that are opened with one key', async () => {
  const encryption = { key: new Uint8Array(32).fill(1) }
  const saveTo = (to: ObjectStore, cache: string) =>
    createBundleStore(to, { encryption }).save('w', source, {
      message: '',
      cacheDirectory: cacheDirectory(cache),
    })
  await saveTo(memoryStore(), 'mine')
  await saveTo(store, 'other machine')
  const { version } = await saveTo(store, 'mine')
  expect(version).toMatchObject({ version: 2, parent: 1 })
})

it('a pack waits until it may be put, and is not put when it may not', async () => {
  const repository = await openRepository(store)
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }
  for (const mayPut of [true, false]) {
    const answer = Promise.withResolvers<void>()
    const lease = leasePacks(repository, { mayPut: answer.promise })
    const key = repository.packKey((mayPut ? 'a' : 'b').repeat(32))
    const put = lease.repository.store.put(key, new Uint8Array(1))
    put.catch(() => undefined)
    await turns()
    expect(await store.head(key)).toBeNull()
    if (mayPut) answer.resolve()
    else answer.reject(new Error('no'))
    await turns()
    expect((await store.head(key)) !== null).toBe(mayPut)
  }
})

it('a workspace that was deleted and begun anew is not taken for the one that is known', async () => {
  await save(store)
  await createBundleStore(store).delete('w')
  writeFileSync(join(source, 'f'), 'begun anew')
  await save(store, { cache: 'other machine' })
  writeFileSync(join(source, 'f'), 'mine')
  const { version } = await save(store)
  expect(version).toMatchObject({ version: 2, parent: 1 })
  expect(await load(1)).toBe('begun anew')
  expect(await load()).toBe('mine')
})

it('a note of the last version that says something impossible is passed over', async () => {
  await save(store)
  const note = join(cacheDirectory(), 'last-version')
  const text = readFileSync(note, 'utf8')
  appendFileSync(join(source, 'f'), ' two')
  for (const [number, lie] of [
    '',
    'not JSON',
    text.slice(0, -20),
    text.replace('"version":1', '"version":7'),
  ].entries()) {
    // prettier-ignore
    writeFileSync(note, lie)
    expect((await save(store)).version.version).toBe(number + 2)
  }
  expect(await load()).toBe('one two')
})

it('an encrypted repository is not opened with a wrong key because of what is known', async () => {
  const open = (byte: number) =>
    createBundleStore(store, { encryption: { key: new Uint8Array(32).fill(byte) } })
  await open(1).save('w', source, { message: '', cacheDirectory: cacheDirectory() })
  appendFileSync(join(source, 'f'), ' two')
  const before = await keys('')
  await expect(
    open(2).save('w', source, { message: '', cacheDirectory: cacheDirectory() }),
  ).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
  expect(await keys('')).toEqual(before)
  const again = await open(1).save('w', source, { message: '', cacheDirectory: cacheDirectory() })
  expect(again.version).toMatchObject({ version: 2, parent: 1 })
})

it('a load by a new process waits for five answers, one behind the other, however deep the tree is', async () => {
  writeFileSync(join(source, 'large'), randomBytes(400_000))
  await save(store)
  writeFileSync(join(source, 'large'), randomBytes(400_000))
  mkdirSync(join(source, 'b'))
  writeFileSync(join(source, 'b/new'), 'new')
  await save(store)
  const { store: seen, rounds, calls } = traced(store)
  await createBundleStore(seen).load('w', join(base, 'loaded'))
  expect(readFileSync(join(base, 'loaded/a/b/c/d/deep'), 'utf8')).toBe('deep')
  // Marker and list; record; indexes, repairs and tags; trees of all packs; contents of all packs.
  expect(rounds()).toBe(5)
  expect(calls).toHaveLength(11)
})

it('a load by a new process through a network waits for four', async () => {
  mkdirSync(join(source, 'many'))
  for (let count = 0; count < 100; count += 1)
    writeFileSync(join(source, 'many', String(count)), randomBytes(8_000))
  await save(store)
  const remote = { ...bindStore(store), capabilities: { ...store.capabilities, remote: true } }
  const { store: seen, rounds, calls } = traced(remote, 50)
  await createBundleStore(seen).load('w', join(base, 'loaded'))
  expect(readFileSync(join(base, 'loaded/a/b/c/d/deep'), 'utf8')).toBe('deep')
  // Marker and list; record; index with the tree, repairs and tags; contents.
  expect(rounds()).toBe(4)
  expect(calls.filter(({ what }) => what.startsWith('get packs/'))).toHaveLength(2)
})

it('the trees are asked for while the repairs are listed', async () => {
  writeFileSync(join(source, 'large'), randomBytes(400_000))
  await save(store)
  const areAskedFor = Promise.withResolvers<void>()
  let reads = 0
  const waiting: ObjectStore = {
    ...bindStore(store),
    get(key, options) {
      if (key.startsWith('packs/') && (reads += 1) === 2) areAskedFor.resolve()
      return store.get(key, options)
    },
    async *list(prefix, options) {
      if (prefix === 'repairs/') await areAskedFor.promise
      yield* store.list(prefix, options)
    },
  }
  await createBundleStore(waiting).load('w', join(base, 'loaded'))
  expect(readFileSync(join(base, 'loaded/a/b/c/d/deep'), 'utf8')).toBe('deep')
})

it('a load of what small saves have made waits for three, and asks for each of their packs once', async () => {
  for (let count = 0; count < 6; count += 1) {
    writeFileSync(join(source, 'f'), String(count))
    await save(store)
  }
  const { store: seen, rounds, calls } = traced(store)
  const loaded = await createBundleStore(seen).load('w', join(base, 'loaded'))
  expect(readFileSync(join(base, 'loaded/f'), 'utf8')).toBe('5')
  // Marker and list; record; packs, repairs and tags.
  expect(rounds()).toBe(3)
  const packs = calls.map(({ what }) => what).filter((what) => what.startsWith('get packs/'))
  expect(packs.length).toBeGreaterThan(1)
  expect(new Set(packs).size).toBe(packs.length)
  expect(loaded?.report.damaged).toEqual([])
})

describe('a load through a network of more than it plans at once', () => {
  const inner = (name: string): string => join(base, 'loaded/inner', name)
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }

  beforeEach(async () => {
    const directory = join(source, 'inner')
    mkdirSync(directory)
    for (let count = 0; count < 10; count += 1)
      writeFileSync(join(directory, `a-${count}`), randomBytes(50_000))
    for (const name of ['y', 'z']) writeFileSync(join(directory, name), randomBytes(50_000))
    for (let count = 0; count < 4096; count += 1) symlinkSync('f', join(directory, `link-${count}`))
    utimesSync(directory, 1_000_000, 1_000_000)
    await save(store)
  })

  /** @param answers what the first contents wait for, and those after them; the index, with the tree, is asked for before */
  function remote(answers: readonly (() => Promise<void>)[]): ObjectStore {
    let reads = 0
    return {
      ...bindStore(store),
      capabilities: { ...store.capabilities, remote: true },
      async get(key, options) {
        if (!key.startsWith('packs/')) return store.get(key, options)
        reads += 1
        await answers[reads - 2]?.()
        return store.get(key, options)
      },
    }
  }

  it('asks for what comes next while it waits for what came before, and ends directories last', async () => {
    const next = Promise.withResolvers<void>()
    const isNextWritten = next.promise.then(turns)
    await createBundleStore(
      remote([() => isNextWritten, async () => next.resolve(), () => Promise.reject(new Error('a third'))]),
    ).load('w', join(base, 'loaded'))
    for (const name of ['a-0', 'z'])
      expect(readFileSync(inner(name))).toEqual(readFileSync(join(source, 'inner', name)))
    expect(statSync(inner('.')).mtime).toEqual(new Date(1_000_000_000))
  })

  it('writes nothing more when what came before has failed', async () => {
    const next = Promise.withResolvers<void>()
    const fail = async (): Promise<void> => {
      await next.promise
      throw new WorkspaceError('ACCESS_DENIED', 'no more')
    }
    const answerLate = async (): Promise<void> => {
      next.resolve()
      await turns()
    }
    const bytesDone: number[] = []
    const loading = createBundleStore(remote([fail, answerLate])).load('w', join(base, 'loaded'), {
      onProgress: (progress) => void bytesDone.push(progress.bytesDone),
    })
    await expect(loading).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    expect(new Set(bytesDone)).toEqual(new Set([0]))
    expect(existsSync(join(base, 'loaded'))).toBe(false)
  })
})
