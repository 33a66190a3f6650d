import { Buffer } from 'node:buffer'
import { buffer } from 'node:stream/consumers'
import { memoryStore } from '@ws/store-memory'
import { beforeEach, describe, expect, it } from 'vitest'
import { WorkspaceError } from '../../../src/errors.ts'
import { holdSmallPacks } from '../../../src/bundle/engine/hold-small-packs.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository.ts'
import type { GetOptions } from '../../../src/store/object-store.ts'

const KIBIBYTE = 1024

let gets: string[] = []
let repository: Repository
/** What the next whole read of the store ends with. */
let failure: WorkspaceError | null = null

beforeEach(async () => {
  gets = []
  failure = null
  const inner = memoryStore()
  repository = await openRepository({
    ...inner,
    get: async (key, options: GetOptions = {}) => {
      const { range } = options
      gets.push(range === undefined ? 'whole' : `${range.start}-${range.end}`)
      if (range === undefined && failure !== null) throw failure
      return inner.get(key, options)
    },
  })
  gets = []
})

/** A pack of so many bytes, each saying where it stands. */
async function putPack(id: string, size: number, marked = 0) {
  const bytes = Buffer.from(Uint8Array.from({ length: size }, (_, index) => index + marked))
  await repository.store.put(repository.packKey(id), bytes)
  return { id, bytes: size, indexBytes: 100 }
}

async function read(held: Repository, id: string, start: number, end: number): Promise<Buffer> {
  const object = await held.store.get(held.packKey(id), { range: { start, end } })
  if (object === null) throw new Error('There is no such object.')
  return buffer(object.body)
}

const bytesFrom = (start: number, end: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: end - start }, (_, index) => start + index))

describe('a small pack', () => {
  it('is read once, whatever ranges are wanted of it, also at once', async () => {
    const held = holdSmallPacks(repository, [await putPack('a', 1000)])
    const parts = await Promise.all([
      read(held, 'a', 900, 1000),
      read(held, 'a', 0, 10),
      read(held, 'a', 500, 501),
    ])
    expect(parts).toEqual([bytesFrom(900, 1000), bytesFrom(0, 10), bytesFrom(500, 501)])
    expect(gets).toEqual(['whole'])
  })

  it('is read from the store where a range is wanted again: it may have been damaged on its way', async () => {
    const pack = await putPack('a', 1000, 7)
    const held = holdSmallPacks(repository, [pack])
    await read(held, 'a', 10, 20)
    await putPack('a', 1000)
    expect(await read(held, 'a', 10, 20)).toEqual(bytesFrom(10, 20))
    expect(gets).toEqual(['whole', '10-20'])
  })

  it.each([
    ['cannot be read as a whole', 1000, new WorkspaceError('CORRUPT', 'Its checksum does not match.')],
    ['is longer than it was written', 1001, null],
  ])('is read in ranges when it %s', async (_, size, error) => {
    await putPack('a', size)
    failure = error
    const held = holdSmallPacks(repository, [{ id: 'a', bytes: 1000, indexBytes: 100 }])
    expect(await read(held, 'a', 10, 20)).toEqual(bytesFrom(10, 20))
    expect(await read(held, 'a', 30, 40)).toEqual(bytesFrom(30, 40))
    expect(gets).toEqual(['whole', '10-20', '30-40'])
  })

  it('is asked for anew after an outage, which is told', async () => {
    const held = holdSmallPacks(repository, [await putPack('a', 1000)])
    failure = new WorkspaceError('UNAVAILABLE', 'The store does not answer.')
    await expect(read(held, 'a', 10, 20)).rejects.toBe(failure)
    failure = null
    expect(await read(held, 'a', 30, 40)).toEqual(bytesFrom(30, 40))
    expect(gets).toEqual(['whole', 'whole'])
  })
})

it('large packs, and more than 8 MiB of small ones, are read in ranges', async () => {
  const large = await putPack('large', 256 * KIBIBYTE + 1)
  const small = await Promise.all(
    Array.from({ length: 33 }, (_, index) => putPack(`${index}`, 256 * KIBIBYTE)),
  )
  const held = holdSmallPacks(repository, [large, ...small])
  for (const { id } of [large, ...small]) await read(held, id, 0, 10)
  expect(gets.filter((get) => get === 'whole')).toHaveLength(32)
  expect(gets.filter((get) => get === '0-10')).toHaveLength(2)
})
