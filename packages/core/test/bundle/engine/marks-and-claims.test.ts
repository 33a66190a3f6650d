import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { collectGarbage } from '../../../src/bundle/engine/maintain/collect-garbage.ts'
import { putMark, readMark, securePacks } from '../../../src/bundle/engine/repository/pack-safety.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { claimVersion } from '../../../src/bundle/engine/repository/version-claim.ts'
import type { ObjectInfo, ObjectStore } from '../../../src/store/object-store.ts'

const MINUTE_MS = 60_000
const GRACE_MS = 60 * MINUTE_MS
const PACK = 'a'.repeat(32)

/** A store whose objects are as old as the map says. */
async function openAged(ages: ReadonlyMap<string, number>): Promise<Repository> {
  const store = memoryStore()
  const aged = <Info extends ObjectInfo>(info: Info): Info => ({
    ...info,
    modifiedAt: new Date(info.modifiedAt.getTime() - (ages.get(info.key) ?? 0)),
  })
  const older: ObjectStore = {
    ...store,
    capabilities: { ...store.capabilities, createIfAbsent: 'checked' },
    async get(key, options) {
      const found = await store.get(key, options)
      return found === null ? null : { ...found, info: aged(found.info) }
    },
    async *list(prefix, options) {
      for await (const info of store.list(prefix, options)) yield aged(info)
    },
  }
  return openRepository(older)
}

it.each([
  ['is taken away while there is time', 45, GRACE_MS, true],
  ['is left, and nobody relies on the pack, when it may be acted upon any moment', 55, GRACE_MS, false],
  ['that cannot be read counts as put just now', 600, null, true],
])('the mark of a pack %s', async (_, ageMinutes, graceMs, isSecured) => {
  const ages = new Map<string, number>()
  const repository = await openAged(ages)
  await repository.store.put(repository.packKey(PACK), new Uint8Array(1))
  const key = repository.condemnedKey(PACK)
  if (graceMs === null) await repository.store.put(key, new TextEncoder().encode('{"graceMs":'))
  else await putMark(repository, PACK, { graceMs })
  ages.set(key, ageMinutes * MINUTE_MS)
  expect(await securePacks(repository, [PACK])).toBe(isSecured)
  expect((await readMark(repository, PACK)) === null).toBe(isSecured)
})

/** With a pack in it, and a mark of that pack of such an age. */
async function openMarked(ageMinutes: number): Promise<Repository> {
  const ages = new Map<string, number>()
  const repository = await openAged(ages)
  await repository.store.put(repository.packKey(PACK), new Uint8Array(1))
  await putMark(repository, PACK, { graceMs: GRACE_MS })
  ages.set(repository.condemnedKey(PACK), ageMinutes * MINUTE_MS)
  return repository
}

/** The same, in which one read of the pack's mark brings something else. */
function withDamagedRead(repository: Repository, number: number, damaged: string): Repository {
  const { store } = repository
  let reads = 0
  const damagedOnce: ObjectStore = {
    ...store,
    async get(key, options) {
      const found = await store.get(key, options)
      if (found === null || key !== repository.condemnedKey(PACK) || (reads += 1) !== number) return found
      await found.discard()
      return { ...found, body: ReadableStream.from([new TextEncoder().encode(damaged)]) }
    },
  }
  return { ...repository, store: damagedOnce }
}

it.each([
  ['says a longer time', '{"graceMs":9600000}'],
  ['cannot be parsed', '{"graceMs":'],
])('a mark that is nearly due is left when one read of it, damaged on the way, %s', async (_, damaged) => {
  for (const number of [1, 2]) {
    const repository = await openMarked(55)
    expect(await securePacks(withDamagedRead(repository, number, damaged), [PACK])).toBe(false)
    expect(await repository.store.head(repository.condemnedKey(PACK))).not.toBeNull()
  }
})

/** @returns whether it has deleted the pack */
async function prune(repository: Repository): Promise<boolean> {
  const { deleted, waiting } = await collectGarbage(repository, {
    needed: new Set(),
    seen: new Set(),
    storeNow: Date.now(),
    graceMs: MINUTE_MS,
    dryRun: false,
    exclusive: false,
    onLooked: () => undefined,
    signal: undefined,
  })
  expect(deleted.packs + waiting.packs).toBe(1)
  return (await repository.store.head(repository.packKey(PACK))) === null
}

it('prune deletes a pack whose mark is due', async () => {
  expect(await prune(await openMarked(65))).toBe(true)
  expect(await prune(await openMarked(55))).toBe(false)
})

it.each([
  ['says a shorter time', '{"graceMs":60000}'],
  ['cannot be parsed', '{"graceMs":'],
])('prune leaves a pack when one read of its mark, damaged on the way, %s', async (_, damaged) => {
  for (const number of [1, 2])
    expect(await prune(withDamagedRead(await openMarked(65), number, damaged))).toBe(false)
})

it('a claim that somebody may still have to see is not said to be of no more use', async () => {
  const ages = new Map<string, number>()
  const repository = await openAged(ages)
  const claimOf = (version: number, nonce: string) =>
    claimVersion(repository, { workspaceId: 'w', version, nonce }, async () => null, undefined)
  for (const [nonce, ageMinutes] of [
    ['1', 29],
    ['2', 31],
  ] as const) {
    const { key, view } = claimOf(1, nonce)
    await view
    ages.set(key, ageMinutes * MINUTE_MS)
  }
  const { outdated, rivals } = await claimOf(2, '3').view
  expect(outdated).toEqual([repository.claimKey('w', 1, '2-0')])
  expect(rivals).toEqual([])
})
