import { Buffer } from 'node:buffer'
import { buffer } from 'node:stream/consumers'
import { memoryStore } from '@ws/store-memory'
import { beforeEach, describe, expect, it } from 'vitest'
import { WorkspaceError } from '../../../src/errors.ts'
import { estimateTreeBytes, holdPackEnds } from '../../../src/bundle/engine/read/hold-pack-ends.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
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
    const held = holdPackEnds(repository, [await putPack('a', 1000)])
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
    const held = holdPackEnds(repository, [pack])
    await read(held, 'a', 10, 20)
    await putPack('a', 1000)
    expect(await read(held, 'a', 10, 20)).toEqual(bytesFrom(10, 20))
    expect(gets).toEqual(['whole', '10-20'])
  })

  it.each([
    [10, 20, 15, 18],
    [10, 20, 0, 30],
    [10, 20, 19, 40],
  ])('is read from the store where a part of a range is wanted again (%i-%i, %i-%i)', async (...places) => {
    const [start, end, from, to] = places
    const held = holdPackEnds(repository, [await putPack('a', 1000, 7)])
    await read(held, 'a', start, end)
    await putPack('a', 1000)
    expect(await read(held, 'a', from, to)).toEqual(bytesFrom(from, to))
    expect(gets).toEqual(['whole', `${from}-${to}`])
  })

  it.each([
    ['cannot be read as a whole', 1000, new WorkspaceError('CORRUPT', 'Its checksum does not match.')],
    ['is longer than it was written', 1001, null],
  ])('is read in ranges when it %s', async (_, size, error) => {
    await putPack('a', size)
    failure = error
    const held = holdPackEnds(repository, [{ id: 'a', bytes: 1000, indexBytes: 100 }])
    expect(await read(held, 'a', 10, 20)).toEqual(bytesFrom(10, 20))
    expect(await read(held, 'a', 30, 40)).toEqual(bytesFrom(30, 40))
    expect(gets).toEqual(['whole', '10-20', '30-40'])
  })

  it('is asked for anew after an outage, which is told', async () => {
    const held = holdPackEnds(repository, [await putPack('a', 1000)])
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
  const held = holdPackEnds(repository, [large, ...small])
  for (const { id } of [large, ...small]) await read(held, id, 0, 10)
  expect(gets.filter((get) => get === 'whole')).toHaveLength(32)
  expect(gets.filter((get) => get === '0-10')).toHaveLength(2)
})

describe('the end of the last pack of a save', () => {
  const size = 600 * KIBIBYTE
  const treeBytes = 100 * KIBIBYTE
  const start = size - 100 - treeBytes
  const whole = `${start}-${size}`

  it('is read with its index, as far as the tree goes, and what lies before is not', async () => {
    const held = holdPackEnds(repository, [await putPack('a', size)], treeBytes)
    expect(await read(held, 'a', size - 100, size)).toEqual(bytesFrom(size - 100, size))
    expect(await read(held, 'a', start, start + 10)).toEqual(bytesFrom(start, start + 10))
    expect(await read(held, 'a', start - 1, start + 10)).toEqual(bytesFrom(start - 1, start + 10))
    expect(gets).toEqual([whole, `${start - 1}-${start + 10}`])
  })

  it('is the whole pack where nearly all of it is the tree', async () => {
    const held = holdPackEnds(repository, [await putPack('a', size)], 400 * KIBIBYTE)
    await read(held, 'a', size - 100, size)
    expect(await read(held, 'a', 0, 10)).toEqual(bytesFrom(0, 10))
    expect(gets).toEqual(['whole'])
  })

  it('is read in ranges when the pack is shorter than it was written', async () => {
    await putPack('a', start - 10)
    const held = holdPackEnds(repository, [{ id: 'a', bytes: size, indexBytes: 100 }], treeBytes)
    await expect(read(held, 'a', size - 100, size)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(gets).toEqual([whole, `${size - 100}-${size}`])
  })

  it('is not held of a pack that the save had filled', async () => {
    const full = { id: 'a', bytes: 15 * KIBIBYTE * KIBIBYTE, indexBytes: 100 }
    expect(holdPackEnds(repository, [full], treeBytes)).toBe(repository)
  })
})

it('a tree is taken for as large as its entries and its content make it, and left alone when it is large', () => {
  const stats = { files: 900, directories: 90, symlinks: 10, contentBytes: 4096 * 1000 }
  expect(estimateTreeBytes(stats)).toBe(81_000)
  expect(estimateTreeBytes({ ...stats, files: 100_000 })).toBe(0)
})
