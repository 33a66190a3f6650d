import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BundleStore } from '../../src/bundle/bundle-store.ts'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'
import { findReplacements } from '../../src/bundle/engine/repository/repairs.ts'
import { openRepository } from '../../src/bundle/engine/repository/repository.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'
import { listTree } from './tree-listing.ts'

let base = ''
let store: ObjectStore

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-on-the-way-'))
  store = memoryStore()
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

const noise = (seed: string, outputLength: number): Buffer =>
  createHash('shake256', { outputLength }).update(seed).digest()

/** What is too long for a message. */
const digestOf = (content: unknown): string =>
  createHash('sha256').update(JSON.stringify(content)).digest('hex')

const flipAt = (place: (length: number) => number) => (bytes: Buffer) => {
  const index = place(bytes.length)
  bytes[index] = (bytes[index] ?? 0) ^ 4
  return bytes
}

const faults: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  'a bit flipped at the beginning': flipAt(() => 0),
  'a bit flipped in the middle': flipAt((length) => length >> 1),
  'a bit flipped near the end': flipAt((length) => Math.max(0, length - 4)),
  'a byte too few': (bytes) => bytes.subarray(0, -1),
}

/** The store, whose answer to the read of this number is not what is stored. */
function faultyAt(number: number, change: (bytes: Buffer) => Buffer, remote: boolean) {
  const reads: string[] = []
  const faulty: ObjectStore = {
    ...store,
    capabilities: { ...store.capabilities, remote },
    async get(key, options) {
      const object = await store.get(key, options)
      if (object === null || reads.push(key) !== number) return object
      const bytes = change(Buffer.concat(await Array.fromAsync(object.body)))
      return {
        info: object.info,
        discard: () => object.discard(),
        body: (async function* () {
          yield bytes
        })(),
      }
    },
  }
  return { faulty, reads }
}

const sourceOf = (version: number): string => join(base, `version-${version}`)

function writeVersion(version: number): void {
  const source = sourceOf(version)
  for (let directory = 0; directory < 3; directory += 1) {
    mkdirSync(join(source, `d${directory}`), { recursive: true })
    for (let file = 0; file < 4; file += 1) {
      const seed = `${directory} ${file} ${directory === 0 ? version : ''}`
      writeFileSync(join(source, `d${directory}`, `f${file}`), noise(seed, 1000 + 100_000 * file))
    }
  }
}

const calls: Readonly<Record<string, (bundles: BundleStore, target: string) => Promise<unknown>>> = {
  async load(bundles, target) {
    await bundles.load('w', target)
    return digestOf(listTree(target))
  },
  async readFile(bundles) {
    const file = await bundles.readFile('w', 'd1/f3')
    return file === null ? null : digestOf(Buffer.concat(await Array.fromAsync(file.body)).toString('latin1'))
  },
  async download(bundles) {
    const archive = await bundles.download('w')
    return archive === null
      ? null
      : digestOf(Buffer.concat(await Array.fromAsync(archive)).toString('latin1'))
  },
  async verify(bundles) {
    const { transient: _transient, ...found } = (await bundles.verify('w')) ?? {}
    return found
  },
  diff: (bundles) => Array.fromAsync(bundles.diff('w', 1, 2)),
  history: (bundles) => Array.fromAsync(bundles.history('w')),
  usage: (bundles) => bundles.usage(),
}

describe.each([
  { kind: 'plain', options: {}, loses: false },
  { kind: 'encrypted', options: { encryption: { key: Buffer.alloc(32, 7) } }, loses: false },
  { kind: 'repaired', options: {}, loses: true },
])('in a repository that is $kind', ({ options, loses }) => {
  beforeEach(async () => {
    for (const version of [1, 2]) {
      writeVersion(version)
      await createBundleStore(store, options).save('w', sourceOf(version), { message: '' })
    }
    if (!loses) return
    const [lost] = await Array.fromAsync(store.list('packs/'))
    await createBundleStore(store, options).save('other', sourceOf(1), { message: '' })
    await createBundleStore(store, options).save('another', sourceOf(2), { message: '' })
    await store.delete(lost?.key ?? '')
    for (const version of [1, 2]) await createBundleStore(store, options).verify('w', { version, repair: {} })
    expect(await Array.fromAsync(store.list('repairs/'))).not.toEqual([])
  })

  const run = (what: string, from: ObjectStore): Promise<unknown> => {
    const target = join(base, 'target')
    rmSync(target, { recursive: true, force: true })
    return calls[what]?.(createBundleStore(from, options), target) ?? Promise.reject(new Error(what))
  }

  it.each(Object.keys(calls).flatMap((what) => [false, true].map((remote) => ({ what, remote }))))(
    'no answer that is damaged once is a verdict about what is stored: $what, remote $remote',
    async ({ what, remote }) => {
      const clean = faultyAt(0, (bytes) => bytes, remote)
      const wanted = await run(what, clean.faulty)
      expect(clean.reads.length).toBeGreaterThan(0)
      for (let number = 1; number <= clean.reads.length; number += 1)
        for (const [fault, change] of Object.entries(faults)) {
          const { faulty, reads } = faultyAt(number, change, remote)
          const outcome = await run(what, faulty).catch((error: unknown) => error)
          expect(outcome, `${fault} in ${reads[number - 1]}`).toEqual(wanted)
        }
    },
  )

  it('verify notes what was whole only when it was read again, and finds no problem in it', async () => {
    const clean = faultyAt(0, (bytes) => bytes, false)
    await run('verify', clean.faulty)
    const number = clean.reads.findIndex((key) => key.startsWith('packs/')) + 1
    for (const at of [number, number + 1]) {
      const { faulty, reads } = faultyAt(
        at,
        faults['a bit flipped in the middle'] ?? ((bytes) => bytes),
        false,
      )
      const found = await createBundleStore(faulty, options).verify('w')
      expect(found).toMatchObject({ problems: [], transient: [{ object: reads[at - 1], files: [] }] })
    }
    expect(await createBundleStore(store, options).verify('w')).not.toHaveProperty('transient')
  })

  it('prune puts a record back as it was written, whatever came when it was read', async () => {
    const tagged = createBundleStore(store, options)
    const key = (await Array.fromAsync(store.list('workspaces/w/versions/'))).at(-1)?.key ?? ''
    let reads = 0
    let isTagged = false
    const racing: ObjectStore = {
      ...store,
      async get(asked, given) {
        const object = await store.get(asked, given)
        if (asked !== key || object === null || (reads += 1) !== 2) return object
        const bytes = flipAt((length) => length >> 1)(Buffer.concat(await Array.fromAsync(object.body)))
        const body = (async function* () {
          yield bytes
        })()
        return { info: object.info, body, discard: () => object.discard() }
      },
      async put(asked, body, given) {
        // Between the plan of the prune and the end of the version.
        if (asked === key && !isTagged) {
          isTagged = true
          await tagged.tag('w', 1, 'kept')
        }
        return store.put(asked, body, given)
      },
    }
    await createBundleStore(racing, options).prune({ keepLast: 1 })
    expect({ reads, isTagged }).toEqual({ reads: 3, isTagged: true })
    const target = join(base, 'target')
    await createBundleStore(store, options).load('w', target, { version: 1 })
    expect(listTree(target)).toEqual(listTree(sourceOf(1)))
  })
})

it('a repair that is another one each time that it is read is none', async () => {
  const repository = await openRepository(store)
  const [pack, replacement] = ['a'.repeat(32), 'b'.repeat(32)] as const
  const key = repository.repairKey(pack, replacement)
  const repairAt = (bytes: number) => Buffer.from(JSON.stringify({ format: 1, bytes, indexBytes: 100 }))
  await store.put(key, repairAt(1000))
  const packs = [{ id: pack, bytes: 500, indexBytes: 100 }]
  expect(await findReplacements(repository, packs, undefined)).toEqual([
    { id: replacement, bytes: 1000, indexBytes: 100 },
  ])
  let reads = 0
  const get: ObjectStore['get'] = async (asked, given) => {
    if (asked === key) await store.put(key, repairAt(1000 + (reads += 1)))
    return store.get(asked, given)
  }
  const restless = { ...repository, store: { ...repository.store, get } }
  expect(await findReplacements(restless, packs, undefined)).toEqual([])
  expect(reads).toBeGreaterThan(2)
})
