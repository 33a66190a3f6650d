import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createHash } from 'node:crypto'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BundleStore } from '../../../src/bundle/bundle-store.ts'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { readVersion } from '../../../src/bundle/engine/repository/list-versions.ts'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'
import { verifyVersion } from '../../../src/bundle/engine/maintain/verify-version.ts'
import type { ObjectInfo, ObjectStore } from '../../../src/store/object-store.ts'
import { listTree } from '../tree-listing.ts'
import { Died, dyingStore } from './dying-store.ts'

let base = ''
let source = ''
let cacheDirectory = ''
let store: ObjectStore
let bundles: BundleStore

const noise = (seed: string, outputLength: number): Buffer =>
  createHash('shake256', { outputLength }).update(seed).digest()

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-repair-'))
  source = join(base, 'source')
  cacheDirectory = join(base, 'cache')
  mkdirSync(join(source, 'd/e'), { recursive: true })
  for (const name of ['a', 'd/b', 'd/e/c']) writeFileSync(join(source, name), `content of ${name}`)
  writeFileSync(join(source, 'd/large'), noise('large', 2_500_000))
  store = memoryStore()
  bundles = createBundleStore(store)
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

async function keys(prefix: string, of = store): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of of.list(prefix)) found.push(key)
  return found
}

async function bytesOf(key: string, of = store): Promise<Buffer> {
  const object = await of.get(key)
  const parts: Uint8Array[] = []
  for await (const part of object?.body ?? []) parts.push(part)
  return Buffer.concat(parts)
}

async function everything(of = store): Promise<Map<string, string>> {
  const all = new Map<string, string>()
  for (const key of await keys('', of)) all.set(key, (await bytesOf(key, of)).toString('latin1'))
  return all
}

async function copyStore(): Promise<ObjectStore> {
  const copy = memoryStore()
  for (const key of await keys('')) await copy.put(key, await bytesOf(key))
  return copy
}

/** Shows every object as if it had been put so long ago. */
function agingStore(of: ObjectStore, ageMs: () => number): ObjectStore {
  const aged = <T extends ObjectInfo | null>(info: T): T =>
    info && { ...info, modifiedAt: new Date(info.modifiedAt.getTime() - ageMs()) }
  return {
    name: of.name,
    capabilities: of.capabilities,
    put: (key, body, options) => of.put(key, body, options),
    delete: (key, options) => of.delete(key, options),
    head: async (key, options) => aged(await of.head(key, options)),
    async get(key, options) {
      const found = await of.get(key, options)
      return found && { ...found, info: aged(found.info) }
    },
    async *list(prefix, options) {
      for await (const info of of.list(prefix, options)) yield aged(info)
    },
  }
}

type Damage = (key: string, of?: ObjectStore) => Promise<void>

const flip =
  (where: (length: number) => number): Damage =>
  async (key, of = store) => {
    const bytes = Buffer.from(await bytesOf(key, of))
    const at = where(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ 1
    await of.put(key, bytes)
  }

const damages: Readonly<Record<string, Damage>> = {
  'that is missing': async (key, of = store) => of.delete(key),
  'with a flipped bit in its first frame': flip(() => 100),
  'with a flipped bit in the middle': flip((length) => length >> 1),
  'with a flipped bit in its index': flip((length) => length - 80),
  'that is cut short': async (key, of = store) => {
    await of.put(key, (await bytesOf(key, of)).subarray(0, -1000))
  },
}

async function expectWhole(id: string, of = bundles, version?: number): Promise<void> {
  const target = join(base, 'target')
  rmSync(target, { recursive: true, force: true })
  await of.load(id, target, { version })
  expect(listTree(target)).toEqual(listTree(source))
}

const files = ['a', 'd/b', 'd/e/c', 'd/large']

describe.each(Object.entries(damages))('a pack %s', (_name, damage) => {
  it('is made good from another workspace that has the content, for every version that needs it', async () => {
    await bundles.save('w', source, { message: 'first', cacheDirectory })
    const [pack = ''] = await keys('packs/')
    writeFileSync(join(source, 'more'), 'more')
    await bundles.save('w', source, { message: 'second', cacheDirectory })
    await bundles.fork('w', 'fork', { version: 1 })
    rmSync(join(source, 'more'))
    await bundles.save('other', source, { message: 'the same content' })
    await damage(pack)
    const before = await everything()
    const planned = await bundles.verify('w', { version: 1, repair: { dryRun: true } })
    expect(planned?.problems).not.toEqual([])
    expect(planned?.repair).toMatchObject({ dryRun: true, unrepaired: [], packs: [] })
    expect(await everything()).toEqual(before)

    const repaired = await bundles.verify('w', { version: 1, repair: {} })
    expect(repaired).toMatchObject({ problems: [], repair: { dryRun: false, unrepaired: [] } })
    expect(repaired?.repaired.map(({ object }) => object)).toEqual([pack])
    const after = await everything()
    for (const [key, bytes] of before) expect(after.get(key) === bytes).toBe(true)
    await expectWhole('w', bundles, 1)
    await expectWhole('fork')
    expect((await bundles.verify('fork'))?.problems).toEqual([])
    expect((await bundles.verify('w', { version: 2, repair: {} }))?.problems).toEqual([])
  })

  it('is made good from the directory that it was saved from', async () => {
    await bundles.save('w', source, { message: '', cacheDirectory })
    for (const pack of await keys('packs/')) await damage(pack)
    const before = listTree(source)
    const repaired = await bundles.verify('w', { repair: { directory: source, cacheDirectory } })
    expect(repaired).toMatchObject({ problems: [], repair: { unrepaired: [] } })
    expect(listTree(source)).toEqual(before)
    await expectWhole('w')
  })

  it('is made good from a copy of the store, also an encrypted one, and is not without it', async () => {
    bundles = createBundleStore(store, { encryption: { key: Buffer.alloc(32, 7) } })
    await bundles.save('w', source, { message: '' })
    const copy = await copyStore()
    for (const pack of await keys('packs/')) await damage(pack)
    const alone = await bundles.verify('w', { repair: {} })
    expect(alone?.problems).not.toEqual([])
    expect(alone?.repair?.unrepaired).not.toEqual([])
    const contents = await everything(copy)
    const repaired = await bundles.verify('w', { repair: { stores: [copy] } })
    expect(repaired).toMatchObject({ problems: [], repair: { unrepaired: [] } })
    expect(await everything(copy)).toEqual(contents)
    await expectWhole('w')
  })
})

describe('what cannot be found', () => {
  it('is listed by file, and everything else comes back', async () => {
    await bundles.save('w', source, { message: '', cacheDirectory })
    for (const pack of await keys('packs/')) await store.delete(pack)
    writeFileSync(join(source, 'd/b'), 'edited since')
    const found = await bundles.verify('w', { repair: { directory: source, cacheDirectory } })
    expect(found?.repair).toMatchObject({
      version: { workspaceId: 'w', version: 1 },
      unrepaired: ['d/b'],
    })
    expect(found?.problems.flatMap((problem) => problem.files)).toEqual(['d/b'])
    const target = join(base, 'target')
    const loaded = await bundles.load('w', target, { onDamage: 'skip' })
    expect(loaded?.report.damaged.map(({ path }) => path)).toEqual(['d/b'])
    expect(Object.keys(listTree(target))).toEqual(
      Object.keys(listTree(source)).filter((path) => path !== 'd/b'),
    )
  })

  it('is not taken from content that only looks the same', async () => {
    await bundles.save('w', source, { message: '' })
    for (const pack of await keys('packs/')) await store.delete(pack)
    for (const name of files)
      writeFileSync(join(source, name), noise('other', name === 'd/large' ? 2_500_000 : 14))
    const found = await bundles.verify('w', { repair: { directory: source } })
    expect(found?.repair).toMatchObject({ chunks: 0, packs: [] })
    expect(await keys('repairs/')).toEqual([])
  })
})

it('a sound version is left alone', async () => {
  await bundles.save('w', source, { message: '' })
  const before = await everything()
  const verified = await bundles.verify('w', { repair: { directory: source } })
  expect(verified).toMatchObject({ problems: [], repaired: [] })
  expect(verified).not.toHaveProperty('repair')
  expect(await everything()).toEqual(before)
})

it('a repair whose own pack is damaged later is repaired again', async () => {
  await bundles.save('w', source, { message: '', cacheDirectory })
  const repair = { directory: source, cacheDirectory }
  for (let round = 0; round < 3; round += 1) {
    for (const pack of await keys('packs/')) await store.delete(pack)
    expect((await bundles.verify('w'))?.problems).not.toEqual([])
    expect((await bundles.verify('w', { repair }))?.problems).toEqual([])
    await expectWhole('w')
  }
})

it('saves on top of a repaired version, and prune, leave it whole; what nobody needs goes with its repairs', async () => {
  await bundles.save('w', source, { message: '', cacheDirectory })
  await damages['with a flipped bit in the middle']?.((await keys('packs/'))[0] ?? '')
  await bundles.verify('w', { repair: { directory: source, cacheDirectory } })
  expect((await bundles.usage()).unreferencedBytes).toBe(0)
  await bundles.prune(null, { exclusive: true })
  await expectWhole('w')
  writeFileSync(join(source, 'a'), 'changed')
  await bundles.save('w', source, { message: 'next', cacheDirectory })
  await bundles.prune({ keepLast: 1 }, { exclusive: true })
  await expectWhole('w')
  await bundles.delete('w')
  await bundles.prune(null, { exclusive: true })
  expect(await keys('packs/')).toEqual([])
  expect(await keys('repairs/')).toEqual([])
})

it.each(Object.keys(damages))(
  'the repairs of a pack %s go when no version needs it any more',
  async (name) => {
    await bundles.save('w', source, { message: '', cacheDirectory })
    for (const pack of await keys('packs/')) await damages[name]?.(pack)
    await bundles.verify('w', { repair: { directory: source, cacheDirectory } })
    await bundles.delete('w')
    await bundles.prune(null, { exclusive: true, dryRun: true })
    expect(await keys('repairs/')).not.toEqual([])
    await bundles.prune(null, { exclusive: true })
    expect(await keys('packs/')).toEqual([])
    expect(await keys('repairs/')).toEqual([])
  },
)

it('a repair and its pack outlast the marks of prune, and go just before the pack that they are for', async () => {
  const hourMs = 3_600_000
  await bundles.save('w', source, { message: '', cacheDirectory })
  await damages['with a flipped bit in the middle']?.((await keys('packs/'))[0] ?? '')
  await bundles.verify('w', { repair: { directory: source, cacheDirectory } })
  let hours = 0
  const aged = createBundleStore(agingStore(store, () => hours * hourMs))
  for (; hours < 200; hours += 50) await aged.prune(null)
  await expectWhole('w')
  await bundles.delete('w')
  const repairs = await keys('repairs/')
  const packs = await keys('packs/')
  for (; (await keys('packs/')).length === packs.length; hours += 25) {
    expect(await keys('repairs/')).toEqual(repairs)
    await aged.prune(null)
  }
  expect(await keys('repairs/')).toEqual([])
  for (; (await keys('packs/')).length > 0; hours += 25) await aged.prune(null)
})

it('a version that no repair concerns reads none of them', async () => {
  await bundles.save('w', source, { message: '', cacheDirectory })
  for (const pack of await keys('packs/')) await store.delete(pack)
  await bundles.verify('w', { repair: { directory: source, cacheDirectory } })
  writeFileSync(join(source, 'a'), 'something else')
  await bundles.save('other', source, { message: '' })
  const read: string[] = []
  const watched: ObjectStore = {
    ...agingStore(store, () => 0),
    get: (key, options) => {
      read.push(key)
      return store.get(key, options)
    },
  }
  await expectWhole('other', createBundleStore(watched))
  expect(read.filter((key) => key.startsWith('repairs/'))).toEqual([])
  expect(read.filter((key) => key.startsWith('packs/'))).not.toEqual([])
})

it('damage that hits no file of a version is a problem all the same, until it is repaired', async () => {
  await bundles.save('w', source, { message: '', cacheDirectory })
  const [pack = ''] = await keys('packs/')
  rmSync(join(source, 'd/large'))
  await bundles.save('w', source, { message: 'smaller', cacheDirectory })
  await damages['with a flipped bit in the middle']?.(pack)
  const verified = await bundles.verify('w')
  expect(verified).toMatchObject({ problems: [{ object: pack, files: [] }], repaired: [] })
})

it('a repair that takes so long that prune may have its packs gives up, and takes back what it has stored', async () => {
  await bundles.save('w', source, { message: '', cacheDirectory })
  const record = await readVersion(await openRepository(store), 'w', 1)
  for (const pack of await keys('packs/')) await store.delete(pack)
  let now = Date.now()
  const slow: ObjectStore = {
    ...agingStore(store, () => 0),
    head: async () => null,
    async put(key, body, options) {
      now += 3_600_000
      return store.put(key, body, options)
    },
  }
  const repository = await openRepository(slow, { now: () => now })
  if (record === null) throw new Error('no record')
  const repair = { directory: source, cacheDirectory }
  await expect(verifyVersion(repository, record, { repair })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    retryable: true,
  })
  expect([...(await keys('packs/')), ...(await keys('repairs/'))]).toEqual([])
  expect((await bundles.verify('w', { repair }))?.problems).toEqual([])
})

it('a repair that says nonsense is passed over', async () => {
  await bundles.save('w', source, { message: '' })
  const [pack = ''] = await keys('packs/')
  const id = pack.slice('packs/'.length)
  await store.put(`repairs/${id}/${'a'.repeat(32)}`, Buffer.from('{"format":1,"bytes":1e300}'))
  await store.put(`repairs/${id}/${'b'.repeat(32)}`, Buffer.from('{"format":1,"bytes":900,"indexBytes":800}'))
  await store.put(`repairs/${id}/${id}`, Buffer.from('{"format":1,"bytes":900,"indexBytes":800}'))
  await store.put('repairs/nonsense', Buffer.alloc(9))
  await expectWhole('w')
  expect((await bundles.verify('w'))?.problems).toEqual([])
})

describe('a process that dies during a repair', () => {
  it.each([false, true])(
    'leaves nothing worse, and the next repair ends it (call applied: %s)',
    async (isApplied) => {
      rmSync(join(source, 'd/large'))
      for (let call = 1; ; call += 1) {
        store = memoryStore()
        bundles = createBundleStore(store)
        await bundles.save('w', source, { message: '', cacheDirectory })
        const [pack = ''] = await keys('packs/')
        await bundles.save('sound', source, { message: '' })
        await damages['with a flipped bit in its first frame']?.(pack)
        const before = await everything()
        const repair = { directory: source, cacheDirectory }
        const dying = createBundleStore(dyingStore(store, { call, isApplied }))
        const outcome = await dying.verify('w', { repair }).catch((error: unknown) => error)
        const after = await everything()
        for (const [key, bytes] of before) expect(after.get(key) === bytes).toBe(true)
        expect((await bundles.verify('sound'))?.problems).toEqual([])
        expect((await bundles.verify('w', { repair }))?.problems).toEqual([])
        await expectWhole('w')
        await bundles.prune(null, { exclusive: true })
        await expectWhole('w')
        expect((await bundles.usage()).unreferencedBytes).toBe(0)
        if (outcome instanceof Died) continue
        expect(call).toBeGreaterThan(8)
        return
      }
    },
  )
})
