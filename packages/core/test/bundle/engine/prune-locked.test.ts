import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BundleStore } from '../../../src/bundle/bundle-store.ts'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { WorkspaceError, type ErrorCode } from '../../../src/errors.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'

let base = ''
let source = ''
let objects: ObjectStore
let isLocked: (key: string) => boolean
let refusal: ErrorCode
let bundles: BundleStore
let firstPack = ''

/** A bucket with a retention: objects under it are neither deleted nor replaced. */
function lockable(store: ObjectStore): ObjectStore {
  const assertFree = async (key: string): Promise<void> => {
    if (isLocked(key) && (await store.head(key)) !== null)
      throw new WorkspaceError(refusal, `A retention protects ${key}.`)
  }
  return {
    ...store,
    async put(key, body, options) {
      await assertFree(key)
      return store.put(key, body, options)
    },
    async delete(key, options) {
      await assertFree(key)
      await store.delete(key, options)
    },
  }
}

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-prune-locked-'))
  source = join(base, 'source')
  mkdirSync(source)
  isLocked = () => false
  refusal = 'ACCESS_DENIED'
  objects = memoryStore()
  bundles = createBundleStore(lockable(objects))
  for (const version of [1, 2, 3]) {
    // Each replaces all of the one before, and none is small enough to be merged.
    writeFileSync(join(source, 'file'), createHash('shake256', { outputLength: 9_000_000 }).update(`${version}`).digest())
    await bundles.save('w', source, { message: `version ${version}` })
    if (version === 1) firstPack = (await keys('packs/'))[0] ?? ''
  }
}) // prettier-ignore
afterEach(() => rmSync(base, { recursive: true, force: true }))

async function keys(prefix: string): Promise<readonly string[]> {
  return (await Array.fromAsync(objects.list(prefix))).map(({ key }) => key)
}

async function versions(): Promise<readonly number[]> {
  return (await Array.fromAsync(bundles.history('w'))).map(({ version }) => version)
}

/** Every version that is shown comes back whole. */
async function assertReadable(): Promise<void> {
  for (const version of await versions()) {
    expect(await bundles.verify('w', { version })).toMatchObject({ problems: [] })
    await bundles.load('w', join(base, `loaded-${version}`), { version })
  }
}

describe.each(['ACCESS_DENIED', 'BUSY'] as const)('a store that refuses with %s what is locked', (code) => {
  beforeEach(() => (refusal = code))

  it('lets a prune go on with what is free, and say what is left; the next one ends it', async () => {
    isLocked = (key) => key === firstPack
    expect(await bundles.prune({ keepLast: 1 }, { exclusive: true })).toMatchObject({
      removed: [{ version: 1 }, { version: 2 }],
      lockedVersions: [],
      keptVersions: 1,
      deleted: { packs: 1 },
      waiting: { packs: 1 },
      locked: { packs: 1 },
    })
    expect(await keys('packs/')).toHaveLength(2)
    await assertReadable()
    isLocked = () => false
    await bundles.prune(null, { exclusive: true })
    expect(await keys('packs/')).toHaveLength(1)
    expect(await versions()).toEqual([3])
    await assertReadable()
  })

  it('keeps a version whose record is locked, with all of its packs, and removes the others', async () => {
    const record = (await keys('workspaces/w/versions/')).at(-1) ?? ''
    isLocked = (key) => key === record
    const result = await bundles.prune({ keepLast: 1 }, { exclusive: true })
    expect(result).toMatchObject({
      removed: [{ version: 2 }],
      lockedVersions: [{ workspaceId: 'w', version: 1 }],
      keptVersions: 2,
      deleted: { packs: 1 },
    })
    expect(await versions()).toEqual([3, 1])
    await assertReadable()
    isLocked = () => false
    expect(await bundles.prune({ keepLast: 1 }, { exclusive: true })).toMatchObject({
      lockedVersions: [],
      removed: [{ version: 1 }],
    })
    expect(await versions()).toEqual([3])
    await assertReadable()
  })

  it('makes no prune fail that finds everything locked, and saves go on', async () => {
    isLocked = (key) => /^(?:packs|workspaces\/w\/versions)\//.test(key)
    const before = await keys('packs/')
    const result = await bundles.prune({ keepLast: 1 }, { exclusive: true })
    expect(result).toMatchObject({
      removed: [],
      keptVersions: 3,
      deleted: { packs: 0 },
      locked: { packs: 0 },
    })
    expect(result.lockedVersions).toHaveLength(2)
    expect(await keys('packs/')).toEqual(before)
    writeFileSync(join(source, 'other'), 'new')
    await bundles.save('w', source, { message: 'beside the lock' })
    expect(await versions()).toHaveLength(4)
    await assertReadable()
  })
})

it('an outage is no lock: the prune rejects', async () => {
  isLocked = (key) => key.startsWith('packs/')
  refusal = 'UNAVAILABLE'
  await expect(bundles.prune({ keepLast: 1 }, { exclusive: true })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
}) // prettier-ignore
