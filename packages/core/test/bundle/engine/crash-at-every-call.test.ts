import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ObjectStore } from '@ws/core'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BundleStore } from '../../../src/bundle/bundle-store.ts'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { Died, dyingStore } from './dying-store.ts'

let base = ''
let source = ''

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-crash-'))
  source = join(base, 'source')
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

async function prepared(): Promise<ObjectStore> {
  mkdirSync(source, { recursive: true })
  const store = memoryStore()
  const bundles = createBundleStore(store)
  for (let version = 1; version <= 3; version += 1) {
    writeFileSync(join(source, 'f'), `content ${version}`)
    await bundles.save('w', source, { message: String(version), tags: ['t'] })
  }
  await bundles.save('garbage', source, { message: '' })
  await bundles.delete('garbage')
  writeFileSync(join(source, 'f'), 'next content')
  return store
}

async function everyVersion(bundles: BundleStore): Promise<string[]> {
  const found: string[] = []
  for await (const { workspaceId } of bundles.list())
    for await (const { version } of bundles.history(workspaceId)) {
      expect(await bundles.verify(workspaceId, { version })).toMatchObject({ problems: [] })
      found.push(`${workspaceId}@${version}`)
    }
  return found
}

const operations: readonly {
  readonly name: string
  readonly run: (bundles: BundleStore) => Promise<unknown>
  /** Versions before it, and after it. */
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** What doing it again may say when it had been done already. */
  readonly doneAlready?: string
}[] = [
  {
    name: 'save',
    run: (bundles) => bundles.save('w', source, { message: 'next', parent: 3 }),
    before: ['w@3', 'w@2', 'w@1'],
    after: ['w@4', 'w@3', 'w@2', 'w@1'],
    doneAlready: 'CONFLICT',
  },
  {
    name: 'first save',
    run: (bundles) => bundles.save('new', source, { message: 'next', parent: 0 }),
    before: ['w@3', 'w@2', 'w@1'],
    after: ['new@1', 'w@3', 'w@2', 'w@1'],
    doneAlready: 'CONFLICT',
  },
  {
    name: 'fork',
    run: (bundles) => bundles.fork('w', 'fork', { version: 2 }),
    before: ['w@3', 'w@2', 'w@1'],
    after: ['fork@1', 'w@3', 'w@2', 'w@1'],
    doneAlready: 'ALREADY_EXISTS',
  },
  {
    name: 'retention and garbage collection',
    run: (bundles) => bundles.prune({ keepLast: 1, keepTagged: false }, { exclusive: true }),
    before: ['w@3', 'w@2', 'w@1'],
    after: ['w@3'],
  },
  { name: 'delete', run: (bundles) => bundles.delete('w'), before: ['w@3', 'w@2', 'w@1'], after: [] },
]

describe.each(operations)('a process that dies during a $name', ({ run, before, after, doneAlready }) => {
  it.each([false, true])(
    'leaves whole versions only, and the next call works (call applied: %s)',
    async (isApplied) => {
      for (let call = 1; ; call += 1) {
        const store = await prepared()
        const outcome = await run(createBundleStore(dyingStore(store, { call, isApplied }))).catch(
          (error: unknown) => error,
        )
        const bundles = createBundleStore(store)
        const left = await everyVersion(bundles)
        for (const version of left) expect([...before, ...after]).toContain(version)
        for (const version of after) if (before.includes(version)) expect(left).toContain(version)
        const again = await run(bundles).catch((error: { code?: string }) => error.code)
        if (typeof again === 'string') expect([again, left]).toEqual([doneAlready, after])
        expect(await everyVersion(bundles)).toEqual(after)
        await bundles.prune(null, { exclusive: true })
        expect(await everyVersion(bundles)).toEqual(after)
        expect((await bundles.usage()).unreferencedBytes).toBe(0)
        if (!(outcome instanceof Died)) {
          expect(call).toBeGreaterThan(4)
          return
        }
      }
    },
  )
})

describe('hundreds of saves at once', () => {
  it('to different workspaces of one store all arrive, and share only with their own parent', async () => {
    const store = await prepared()
    const bundles = createBundleStore(store)
    const count = 300
    const directories = Array.from({ length: count }, (_, index) => join(base, `d${index}`))
    for (const [index, directory] of directories.entries()) {
      mkdirSync(directory)
      writeFileSync(join(directory, 'own'), `only ${index}`)
      writeFileSync(join(directory, 'same'), 'the same in all')
    }
    for (const round of [1, 2]) {
      await Promise.all(
        directories.map(async (directory, index) => {
          writeFileSync(join(directory, 'round'), String(round))
          const { version } = await bundles.save(`w${index}`, directory, { message: '' })
          expect(version.version).toBe(round)
        }),
      )
    }
    await bundles.prune({ keepLast: 1 }, { exclusive: true })
    const target = join(base, 'target')
    for (let index = 0; index < count; index += 5) {
      expect((await bundles.load(`w${index}`, target))?.version.version).toBe(2)
      expect(readFileSync(join(target, 'own'), 'utf8')).toBe(`only ${index}`)
      expect(readFileSync(join(target, 'round'), 'utf8')).toBe('2')
    }
  })
})
