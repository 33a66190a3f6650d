import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BundleStoreOptions } from '../../src/bundle/bundle-store-context.ts'
import type { BundleStore } from '../../src/bundle/bundle-store.ts'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'
import { objectOf } from '../../src/bundle/engine/repository/damage.ts'
import { WorkspaceError } from '../../src/errors.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'
import { listTree } from './tree-listing.ts'

const VERSIONS = 3
const encryption = { key: Buffer.alloc(32, 7) }

let base = ''
let store: ObjectStore
let options: BundleStoreOptions

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-damaged-'))
  store = memoryStore()
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

const bundles = (): BundleStore => createBundleStore(store, options)
const sourceOf = (version: number): string => join(base, `version-${version}`)

/** Three versions of one workspace with a fork, tags of both kinds, a condemned pack and the clock of prune. */
async function fillStore(): Promise<void> {
  for (let version = 1; version <= VERSIONS; version += 1) {
    mkdirSync(join(sourceOf(version), 'sub'), { recursive: true })
    const noise = createHash('shake256', { outputLength: 3000 }).update(String(version)).digest()
    writeFileSync(join(sourceOf(version), `file-${version}`), noise)
    writeFileSync(join(sourceOf(version), 'sub/always'), `the same\nand ${version}\n`)
    await bundles().save('w', sourceOf(version), { message: String(version), tags: ['saved'] })
  }
  await bundles().tag('w', 1, 'kept')
  await bundles().untag('w', 2, 'saved')
  await bundles().fork('w', 'fork', { version: 2 })
  await bundles().save('gone', sourceOf(1), { message: '' })
  await bundles().delete('gone')
  await bundles().prune(null)
  const packs = await keysOf('packs/')
  await store.put(packs.at(-1)?.replace('packs/', 'condemned/') ?? '', Buffer.from('{"graceMs":86400000}'))
}

const keysOf = async (prefix: string): Promise<string[]> =>
  (await Array.fromAsync(store.list(prefix))).map(({ key }) => key)

async function read(key: string): Promise<Buffer> {
  const object = await store.get(key)
  return Buffer.concat(object === null ? [] : await Array.fromAsync(object.body))
}

type Change = (bytes: Buffer, other: Buffer) => Buffer | null
const flipAt =
  (place: (length: number) => number): Change =>
  (bytes) => {
    const changed = Buffer.from(bytes)
    const index = place(bytes.length)
    if (index < bytes.length) changed[index] = (changed[index] ?? 0) ^ 4
    return changed
  }

const changes: Readonly<Record<string, Change>> = {
  'a bit flipped at the beginning': flipAt(() => 0),
  'a bit flipped in the middle': flipAt((length) => length >> 1),
  'a bit flipped near the end': flipAt((length) => Math.max(0, length - 4)),
  'cut in half': (bytes) => bytes.subarray(0, bytes.length >> 1),
  'cut to nothing': () => Buffer.alloc(0),
  'a byte more': (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]),
  'another object of its kind in its place': (_, other) => other,
  gone: () => null,
}

const isRecord = (key: string): boolean => key.startsWith('workspaces/w/versions/')

type Outcome = 'as it was' | 'corrupt' | 'absent'

/** What a call gives: what it should, nothing, or an error that names the object; anything else fails the test. */
async function outcomeOf(key: string, what: string, call: () => Promise<boolean | null>): Promise<Outcome> {
  try {
    const isRight = await call()
    if (isRight === null) return 'absent'
    expect(isRight, `${what} gave something else than was saved`).toBe(true)
    return 'as it was'
  } catch (error) {
    if (!WorkspaceError.is(error)) throw error
    // A marker of a later format cannot be told from one whose number is damaged.
    const isRefusal = error.code === 'CORRUPT' || (key === 'format' && error.code === 'UNSUPPORTED')
    expect(isRefusal, `${what}: ${error.code} ${error.message}`).toBe(true)
    const object = objectOf(error)
    // With the marker of another repository come its keys, which open no record.
    const isNamed = object === key || (key === 'format' && 'encryption' in options && isRecord(object))
    expect(isNamed || error.code === 'UNSUPPORTED', `${what} names ${object}`).toBe(true)
    return 'corrupt'
  }
}

/** Loads, reads, downloads and lists everything, over a directory with something of its own in it. */
async function lookAtEverything(key: string): Promise<Set<Outcome>> {
  const outcomes = new Set<Outcome>()
  for (let version = 1; version <= VERSIONS; version += 1) {
    const wanted = listTree(sourceOf(version))
    const target = join(base, 'target')
    rmSync(target, { recursive: true, force: true })
    mkdirSync(target)
    writeFileSync(join(target, 'mine'), 'mine')
    const loaded = await outcomeOf(key, `load of version ${version}`, async () => {
      if ((await bundles().load('w', target, { version })) === null) return null
      expect(listTree(target)).toEqual(wanted)
      return true
    })
    if (loaded !== 'as it was') expect(readdirSync(target)).toEqual(['mine'])
    const file = await outcomeOf(key, `readFile of version ${version}`, async () => {
      const found = await bundles().readFile('w', `file-${version}`, { version })
      if (found === null) return null
      const content = Buffer.concat(await Array.fromAsync(found.body)).toString('latin1')
      return content === wanted[`file-${version}`]?.content
    })
    const verified = await outcomeOf(key, `verify of version ${version}`, async () => {
      const result = await bundles().verify('w', { version })
      if (result === null) return null
      if (result.problems.length === 0) return true
      expect(result.problems.map(({ object }) => object)).toEqual([key])
      throw new WorkspaceError('CORRUPT', 'It has problems.', { details: { key } })
    })
    // A pack that a version names may hold more than it needs, so a load can succeed where verify finds damage.
    if (loaded !== 'as it was') expect(verified, `verify of version ${version}`).toBe(loaded)
    if (verified === 'as it was') expect(file, `readFile of version ${version}`).toBe(verified)
    for (const outcome of [loaded, file, verified]) outcomes.add(outcome)
  }
  return outcomes
}

const kinds: Readonly<Record<string, { readonly prefix: string; readonly least: number }>> = {
  'the format marker': { prefix: 'format', least: 1 },
  'a pack': { prefix: 'packs/', least: 3 },
  'a version record': { prefix: 'workspaces/w/versions/', least: 3 },
}

describe.each(['plain', 'encrypted'])('in a repository that is %s', (mode) => {
  beforeEach(async () => {
    options = mode === 'plain' ? {} : { encryption }
    await fillStore()
  })

  describe.each(Object.entries(kinds))('%s', (_kind, { prefix, least }) => {
    it.each(Object.entries(changes))('with %s is noticed by whoever needs it', async (change, apply) => {
      // The pack and the record of the removed workspace are of no concern to any version.
      const keys = prefix === 'packs/' ? await neededPacks() : await keysOf(prefix)
      expect(keys.length).toBeGreaterThanOrEqual(least)
      for (const [index, key] of keys.entries()) {
        const original = await read(key)
        const other = prefix === 'format' ? await otherMarker() : await read(keys.at(index - 1) ?? '')
        const changed = apply(original, other)
        if (changed === null) await store.delete(key)
        else await store.put(key, changed)
        const outcomes = await lookAtEverything(key)
        // In a plain repository the marker holds nothing that reading needs.
        const isOtherMarker = prefix === 'format' && changed === other && mode === 'plain'
        if (isOtherMarker) expect(outcomes).toEqual(new Set(['as it was']))
        else if (isRecord(key) && changed === null) {
          // Nothing tells a version that is lost from one that retention has removed.
          expect(outcomes).toEqual(new Set(['absent', 'as it was']))
        } else {
          expect(outcomes, change).toContain('corrupt')
          expect(outcomes, change).not.toContain('absent')
        }
        if (!isOtherMarker) await saveAndListAreNotMisled(key, changed)
        await store.put(key, original)
        expect(await lookAtEverything(key)).toEqual(new Set(['as it was']))
      }
    })
  })

  it.each(Object.entries(changes))('a tag with %s protects its version still', async (_change, apply) => {
    for (const [version, tag] of [
      [1, 'kept'],
      [2, 'saved'],
    ] as const) {
      const key = (await keysOf('workspaces/w/tags/')).find((each) => each.endsWith(`/${tag}`)) ?? ''
      const original = await read(key)
      const changed = apply(original, Buffer.from('another'))
      if (changed === null) continue
      await store.put(key, changed)
      expect(await lookAtEverything(key)).toEqual(new Set(['as it was']))
      const history = await Array.fromAsync(bundles().history('w'))
      expect(history.map((each) => each.version)).toEqual([3, 2, 1])
      if (tag === 'kept') {
        expect(history.find((each) => each.version === version)?.tags).toContain(tag)
        const plan = await bundles().prune({ keepLast: 1, keepTagged: ['kept'] }, { dryRun: true })
        expect(plan.removed.map((each) => each.version)).not.toContain(version)
      }
      await store.put(key, original)
    }
  })

  it.each(Object.entries(changes))(
    "a mark or the clock of prune with %s takes no version's content away",
    async (_change, apply) => {
      const keys = [...(await keysOf('condemned/')), ...(await keysOf('clock'))]
      expect(keys.length).toBeGreaterThan(1)
      for (const key of keys) {
        const changed = apply(await read(key), Buffer.from('{"graceMs":1}'))
        if (changed === null) await store.delete(key)
        else await store.put(key, changed)
      }
      await bundles().prune(null)
      await bundles().prune(null, { exclusive: true })
      expect(await lookAtEverything('none')).toEqual(new Set(['as it was']))
      await bundles().save('w', sourceOf(1), { message: 'next' })
      expect(await bundles().verify('w')).toMatchObject({ problems: [] })
    },
  )
})

async function neededPacks(): Promise<string[]> {
  const packs = await keysOf('packs/')
  const needed: string[] = []
  for (const key of packs) {
    const bytes = await read(key)
    await store.delete(key)
    const results = await Promise.all([1, 2, 3].map((version) => bundles().verify('w', { version })))
    if (results.some((result) => result?.problems.length !== 0)) needed.push(key)
    await store.put(key, bytes)
  }
  return needed
}

async function otherMarker(): Promise<Buffer> {
  const elsewhere = memoryStore()
  await createBundleStore(elsewhere, options).save('w', sourceOf(1), { message: '' })
  const object = await elsewhere.get('format')
  return Buffer.concat(object === null ? [] : await Array.fromAsync(object.body))
}

/** The history leaves nothing out in silence; a save is refused and stores nothing, or what it saved is what it says. */
async function saveAndListAreNotMisled(key: string, changed: Buffer | null): Promise<void> {
  const listed = await outcomeOf(key, 'history', async () => {
    const versions = (await Array.fromAsync(bundles().history('w'))).map(({ version }) => version)
    expect(versions.length).toBe(isRecord(key) && changed === null ? VERSIONS - 1 : VERSIONS)
    return true
  })
  const before = await keysOf('')
  const saved = await outcomeOf(key, 'save', async () => {
    const { version } = await bundles().save('w', sourceOf(1), { message: 'again' })
    const { problems = [] } = (await bundles().verify('w', { version: version.version })) ?? {}
    if (problems.length > 0) expect(problems.map(({ object }) => object)).toEqual([key])
    else {
      const target = join(base, 'again')
      await bundles().load('w', target)
      expect(listTree(target)).toEqual(listTree(sourceOf(1)))
    }
    return true
  })
  if (saved === 'corrupt') expect(await keysOf('')).toEqual(before)
  if (key === 'format') expect([listed, saved]).toEqual(['corrupt', 'corrupt'])
  for (const each of await keysOf('')) if (!before.includes(each)) await store.delete(each)
}
