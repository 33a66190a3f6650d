import { join } from 'node:path'
import { checksFor, runCheck } from '@ws/conformance'
import { expect, it } from 'vitest'
import { privateDirectoryStore } from '../../src/store/private-directory-store.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const store = () => privateDirectoryStore(join(temporaryDirectory(), 'store'))

/** These need keys that the engine does not make: with other characters, of more than 200 bytes, or one below another. */
const beyondItsKeys = [
  'unusual keys are stored, found, listed and deleted as exactly those keys',
  'keys of the greatest length work, in one segment, in many, and in characters of four bytes',
  'keys that differ in case only are kept apart',
  'keys that differ in Unicode normalisation only are kept apart',
  'an object and objects below its key live side by side',
  "list goes by the keys' UTF-8 bytes",
  'startAfter begins behind a position, whether an object is there or not',
  'more than 2,500 keys of all shapes are listed once each, in order, also from the middle',
]

const checks = checksFor(privateDirectoryStore('/unused'))

for (const check of checks.filter(({ name }) => !beyondItsKeys.includes(name))) {
  it(check.name, async () => {
    await runCheck(check, store())
  })
}

it.each(['a b', '.hidden', 'a/.b', 'é', 'k'.repeat(201), 'packs/x/below'])(
  'refuses the key %j instead of keeping it somewhere else',
  async (key) => {
    const own = store()
    await own.put('packs/x', new Uint8Array([1]))
    await expect(own.put(key, new Uint8Array([2]))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    const keys: string[] = []
    for await (const info of own.list('')) keys.push(info.key)
    expect(keys).toEqual(['packs/x'])
  },
)

it('lists more than 2,500 keys once each, in order, also from the middle', async () => {
  const own = store()
  const keys = Array.from(
    { length: 2_503 },
    (_, index) => `${['packs/', 'packs-', 'Packs/', 'packs/x/'][index % 4]}${(index * 7_919) % 2_503}`,
  )
  for (const key of keys) await own.put(key, new Uint8Array([1]))
  const inOrder = keys.toSorted()
  const list = async (startAfter?: string) => Array.fromAsync(own.list('', { startAfter }), ({ key }) => key)
  expect(await list()).toEqual(inOrder)
  expect(await list(inOrder[1_400])).toEqual(inOrder.slice(1_401))
})

it('lists in the order of bytes, folders by the slash after their names', async () => {
  const own = store()
  for (const key of ['b', 'a-b', 'a/c', 'a0', 'A', 'a/b/c']) await own.put(key, new Uint8Array())
  const list = async (prefix: string, startAfter?: string) => {
    const keys: string[] = []
    for await (const { key } of own.list(prefix, { startAfter })) keys.push(key)
    return keys
  }
  expect(await list('')).toEqual(['A', 'a-b', 'a/b/c', 'a/c', 'a0', 'b'])
  expect(await list('a')).toEqual(['a-b', 'a/b/c', 'a/c', 'a0'])
  expect(await list('', 'a/b/c')).toEqual(['a/c', 'a0', 'b'])
  expect(await list('a/', 'a/b/d')).toEqual(['a/c'])
})
