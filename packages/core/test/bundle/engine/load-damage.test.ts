import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '@ws/store-memory'
import { WorkspaceError } from '../../../src/errors.ts'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import { readVersionFile } from '../../../src/bundle/engine/read/read-file.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { verifyVersion } from '../../../src/bundle/engine/maintain/verify-version.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import type { ObjectStore, StoredObject } from '../../../src/store/object-store.ts'
import { listTree } from '../tree-listing.ts'
import { storeTree } from './store-tree.ts'

let base = ''
let source = ''
let target = ''
let repository: Repository
let record: VersionRecord

/** Content that does not compress, so that every byte of a pack matters. */
const noise = (seed: number, outputLength: number): Buffer =>
  createHash('shake256', { outputLength }).update(String(seed)).digest()

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-damage-'))
  source = join(base, 'source')
  target = join(base, 'target')
  for (let directory = 0; directory < 4; directory += 1) {
    mkdirSync(join(source, `d${directory}`), { recursive: true })
    for (let file = 0; file < 6; file += 1) {
      writeFileSync(
        join(source, `d${directory}/f${file}`),
        noise(directory * 10 + file, 20_000 + 40_000 * file),
      )
    }
  }
  repository = await openRepository(memoryStore())
  record = await storeTree(repository, source, 1 << 20)
  mkdirSync(join(target, 'd1'), { recursive: true })
  writeFileSync(join(target, 'd1/f1'), 'mine')
  writeFileSync(join(target, 'extra'), 'mine too')
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

async function readAll(object: StoredObject | null): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of object?.body ?? []) parts.push(part)
  return Buffer.concat(parts)
}

const damages: Record<string, (bytes: Buffer, other: Buffer) => Buffer | null> = {
  'one bit flipped in the first byte': (bytes) => flip(bytes, 0),
  'one bit flipped in the last byte of the magic': (bytes) => flip(bytes, 7),
  'one bit flipped near the beginning': (bytes) => flip(bytes, 30),
  'one bit flipped in the middle': (bytes) => flip(bytes, bytes.length >> 1),
  'one bit flipped in the index': (bytes) => flip(bytes, bytes.length - 80),
  'one bit flipped in the trailer': (bytes) => flip(bytes, bytes.length - 3),
  'cut in half': (bytes) => bytes.subarray(0, bytes.length >> 1),
  'cut by one byte': (bytes) => bytes.subarray(0, -1),
  'a byte appended': (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]),
  emptied: () => Buffer.alloc(0),
  'another pack in its place': (_, other) => other,
  gone: () => null,
}

function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes)
  changed[at] = (changed[at] ?? 0) ^ 4
  return changed
}

async function damage(pack: number, kind: (bytes: Buffer, other: Buffer) => Buffer | null): Promise<string> {
  const { store } = repository
  const keys = record.packs.map(({ id }) => repository.packKey(id))
  const key = keys[pack] ?? ''
  const bytes = await readAll(await store.get(key))
  const other = await readAll(await store.get(keys[(pack + 1) % keys.length] ?? ''))
  const changed = kind(bytes, other)
  if (changed === null) await store.delete(key)
  else await store.put(key, changed)
  return key
}

const cases = Object.keys(damages).flatMap((kind) => [0, -1].map((pack) => ({ kind, pack })))

describe('a damaged pack', () => {
  it.each(cases)('$kind (pack $pack): a load says so and changes nothing', async ({ kind, pack }) => {
    expect(record.packs.length).toBeGreaterThan(1)
    const key = await damage(pack < 0 ? record.packs.length - 1 : pack, damages[kind] ?? (() => null))
    const before = listTree(target)
    const error: unknown = await loadDirectory(repository, record, target, { cacheDirectory: null }).catch(
      (failure: unknown) => failure,
    )
    expect(error).toMatchObject({ code: 'CORRUPT', details: { key } })
    expect(listTree(target)).toEqual(before)
  })

  it.each(cases)(
    '$kind (pack $pack): everything else can be loaded, and what cannot stays as it was',
    async ({ kind, pack }) => {
      const key = await damage(pack < 0 ? record.packs.length - 1 : pack, damages[kind] ?? (() => null))
      const before = listTree(target)
      const result = await loadDirectory(repository, record, target, {
        cacheDirectory: null,
        onDamage: 'skip',
      })
      expect(result.damaged.length).toBeGreaterThan(0)
      for (const { object } of result.damaged) expect(object).toBe(key)
      const wanted = listTree(source)
      const hit = result.damaged.map(({ path }) => path)
      const isHit = (path: string): boolean =>
        hit.some((each) => each === '' || path === each || path.startsWith(`${each}/`))
      const after = listTree(target)
      for (const [path, entry] of Object.entries(wanted)) {
        if (entry.type !== 'file') continue
        if (!isHit(path)) expect(after[path]?.content === entry.content).toBe(true)
        else expect(after[path]?.content).toBe(before[path]?.content)
      }
    },
  )

  it.each(cases)('$kind (pack $pack): verify names it and the files that it hits', async ({ kind, pack }) => {
    const key = await damage(pack < 0 ? record.packs.length - 1 : pack, damages[kind] ?? (() => null))
    const { problems } = await verifyVersion(repository, record)
    expect(problems.map(({ object }) => object)).toEqual([key])
    const skipped = await loadDirectory(repository, record, join(base, 'other'), {
      cacheDirectory: null,
      onDamage: 'skip',
    })
    const lost = skipped.damaged.map(({ path }) => (path === '' ? '.' : path)).sort()
    expect(problems[0]?.files).toEqual(lost)
  })

  it('reads what was damaged only on the way once more', async () => {
    const { store } = repository
    let isBad = true
    const flaky: ObjectStore = {
      ...store,
      async get(key, options) {
        const object = await store.get(key, options)
        if (!isBad || object === null || !key.includes('packs/')) return object
        isBad = false
        const bytes = flip(await readAll(object), 40)
        return {
          info: object.info,
          body: (async function* () {
            yield bytes
          })(),
          discard: () => object.discard(),
        }
      },
    }
    await loadDirectory({ ...repository, store: flaky }, record, target, { cacheDirectory: null })
    expect(listTree(target)).toEqual(listTree(source))
  })

  it('never passes an outage for damage', async () => {
    const { store } = repository
    const down = new WorkspaceError('UNAVAILABLE', 'the store is down')
    const failing: ObjectStore = {
      ...store,
      get: (key, options) => (key.includes('packs/') ? Promise.reject(down) : store.get(key, options)),
    }
    const before = listTree(target)
    const load = loadDirectory({ ...repository, store: failing }, record, target, {
      cacheDirectory: null,
      onDamage: 'skip',
    })
    await expect(load).rejects.toBe(down)
    expect(listTree(target)).toEqual(before)
    await expect(verifyVersion({ ...repository, store: failing }, record)).rejects.toBe(down)
  })

  it('verifies every byte of a sound version', async () => {
    const result = await verifyVersion(repository, record)
    expect(result).toMatchObject({ problems: [], files: 24 })
  })

  it('a file whose frames are damaged rejects with the object and the path', async () => {
    const key = await damage(0, damages['one bit flipped near the beginning'] ?? (() => null))
    const errors: unknown[] = []
    for (const path of Object.keys(listTree(source)).filter((each) => each.includes('/'))) {
      const file = await readVersionFile(repository, record, path)
      try {
        const parts: Uint8Array[] = []
        for await (const part of file?.body ?? []) parts.push(part)
        expect(Buffer.concat(parts).equals(readFileSync(join(source, path)))).toBe(true)
      } catch (error) {
        errors.push(error)
        expect(error).toMatchObject({ code: 'CORRUPT', details: { key, files: [path] } })
      }
    }
    expect(errors.length).toBeGreaterThan(0)
  })
})

describe('an old copy of an object', () => {
  it('in the place of a newer one is damage that names the object, and changes nothing', async () => {
    const store = memoryStore()
    const bundles = createBundleStore(store)
    await bundles.save('work', source, { message: 'one' })
    const keysOf = async (): Promise<string[]> => {
      const keys: string[] = []
      for await (const { key } of store.list('')) keys.push(key)
      return keys
    }
    const first = await keysOf()
    writeFileSync(join(source, 'd0/f0'), 'second')
    await bundles.save('work', source, { message: 'two' })
    const second = (await keysOf()).filter((key) => !first.includes(key))
    // The same directories hold the objects of the same kind.
    const kindOf = (key: string): string => key.split('/')[0] ?? ''
    let replaced = 0
    for (const key of second) {
      const old = first.find((each) => kindOf(each) === kindOf(key))
      if (old === undefined) continue
      const kept = await readAll(await store.get(key))
      await store.put(key, await readAll(await store.get(old)))
      const before = listTree(target)
      const error: unknown = await createBundleStore(store)
        .load('work', target, { version: 2 })
        .catch((failure: unknown) => failure)
      expect(error).toMatchObject({ code: 'CORRUPT', details: { key } })
      expect(listTree(target)).toEqual(before)
      await store.put(key, kept)
      replaced += 1
    }
    // A record and a pack.
    expect(replaced).toBe(2)
  })
})
