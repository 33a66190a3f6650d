import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assertObjectKey } from '@ws/core'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { localStore } from '../src/index.ts'
import { decodeName, keyToNames } from '../src/key-path.ts'

let root: string
let outside: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'store-local-'))
  outside = mkdtempSync(join(tmpdir(), 'outside-'))
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
  rmSync(outside, { recursive: true, force: true })
})

it('follows no link in the place of a folder', async () => {
  const store = localStore({ root })
  await store.put('a/b', Buffer.from('x'))
  writeFileSync(join(outside, 'victim%'), 'secret')
  symlinkSync(outside, join(root, 'link'))
  const unsafe = { code: 'UNSAFE_PATH' }
  await expect(store.get('link/victim')).rejects.toMatchObject(unsafe)
  await expect(store.head('link/victim')).rejects.toMatchObject(unsafe)
  await expect(store.put('link/new', Buffer.from('x'))).rejects.toMatchObject(unsafe)
  await expect(store.put('link/new', Buffer.from('x'), { ifAbsent: true })).rejects.toMatchObject(unsafe)
  await expect(store.delete('link/victim')).rejects.toMatchObject(unsafe)
  expect(await keysOf(store)).toEqual(['a/b'])
  expect(readdirSync(outside)).toEqual(['victim%'])
})

it('reads no link in the place of an object, and replaces or removes only the link', async () => {
  const store = localStore({ root })
  const victim = join(outside, 'victim')
  writeFileSync(victim, 'secret')
  await store.put('seed', Buffer.from('x'))
  symlinkSync(victim, join(root, 'a%'))
  await expect(store.get('a')).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
  expect(await keysOf(store)).toEqual(['seed'])
  await store.put('a', Buffer.from('new'))
  expect((await store.head('a'))?.size).toBe(3)
  symlinkSync(victim, join(root, 'b%'))
  await store.delete('b')
  expect(existsSync(join(root, 'b%'))).toBe(false)
  expect(readFileSync(victim, 'utf8')).toBe('secret')
})

it('writes nothing through links in the place of its private folders', async () => {
  for (const folder of ['%ws', '%ws/temporary', '%ws/locks', '%ws/owners']) {
    const store = localStore({ root })
    await store.put('a', Buffer.from('x'))
    rmSync(join(root, folder), { recursive: true })
    symlinkSync(outside, join(root, folder))
    await expect(store.put('b', Buffer.from('x'))).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
    expect(readdirSync(outside)).toEqual([])
    rmSync(join(root, folder))
  }
})

it('ignores files, folders and pipes that it did not make', async () => {
  const store = localStore({ root })
  await store.put('a', Buffer.from('x'))
  for (const name of ['.DS_Store', 'Thumbs.db', 'notes%2', 'UPPER%', '%zz%', 'a%%', 'con%'])
    writeFileSync(join(root, name), 'x')
  mkdirSync(join(root, 'dir%'))
  execFileSync('mkfifo', [join(root, 'pipe%')])
  expect(await keysOf(store)).toEqual(['a'])
  await expect(store.get('pipe')).rejects.toMatchObject({ code: 'CORRUPT' })
})

it('reports damage of any byte and any cut as CORRUPT, small and large', async () => {
  const store = localStore({ root, durability: 'none' })
  for (const size of [100, 600_000]) {
    await store.put('a', Buffer.alloc(size, 'abc'), {
      contentType: 'text/plain',
      metadata: { name: 'value' },
    })
    const path = join(root, 'a%')
    const whole = readFileSync(path)
    const read = async (): Promise<void> => {
      for await (const _ of (await store.get('a'))?.body ?? []);
    }
    await read()
    const step = size === 100 ? 1 : 50_001
    for (let position = 0; position < whole.length; position += step) {
      const bytes = Buffer.from(whole)
      bytes[position] = (bytes[position] ?? 0) ^ 1
      writeFileSync(path, bytes)
      await expect(read()).rejects.toMatchObject({ code: 'CORRUPT', details: { key: 'a' } })
    }
    for (const length of [0, 1, 47, 48, whole.length - 1]) {
      writeFileSync(path, whole)
      truncateSync(path, length)
      await expect(read()).rejects.toMatchObject({ code: 'CORRUPT' })
    }
  }
})

it('refuses a root that is a file, and without create one that is missing', async () => {
  const file = join(root, 'file')
  writeFileSync(file, 'x')
  for (const path of [file, join(file, 'below')])
    await expect(localStore({ root: path }).get('a')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  const missing = localStore({ root: join(root, 'missing'), create: false })
  await expect(missing.get('a')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(missing.put('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(readFileSync(file, 'utf8')).toBe('x')
})

it('does not take a vanished root for an empty one', async () => {
  const store = localStore({ root })
  await store.put('a', Buffer.from('x'))
  rmSync(root, { recursive: true })
  await expect(store.get('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await expect(store.head('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await expect(store.put('a', Buffer.from('x'))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await expect(keysOf(store)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
})

it('removes the folders that a delete empties, and those that a refused put made', async () => {
  const store = localStore({ root })
  await store.put('a/b/c', Buffer.from('x'))
  await store.put('a/d', Buffer.from('x'))
  await store.delete('a/b/c')
  expect(readdirSync(join(root, 'a'))).toEqual(['d%'])
  await store.delete('a/d')
  expect(readdirSync(root)).toEqual(['%ws'])
})

it.each([
  ['packs/0a1b-2.pack', ['packs', '0a1b-2.pack%']],
  ['README.md', ['!r!e!a!d!m!e.md%']],
  ['a b/%', ['a%20b', '%25%']],
  ['con/nul.txt', ['%63on', '%6eul.txt%']],
  ['dot./x.', ['dot%2e', 'x%2e%']],
  ['é', ['%c3%a9%']],
  ['x'.repeat(250), [`${'x'.repeat(200)}%+`, `${'x'.repeat(50)}%`]],
])('stores %s at a documented place', (key, names) => {
  expect(keyToNames(key)).toEqual(names)
})

it('gives every legal key names that are safe everywhere, decode to it, and differ also without case', () => {
  const segment = fc.string({
    unit: fc.oneof(
      fc.constantFrom('a', 'A', '.', '%', ' ', '+', '!', 'é', '😀'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 120,
  })
  const key = fc
    .array(segment, { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join('/'))
    .filter(isLegal)
  fc.assert(
    fc.property(key, (text) => {
      const names = keyToNames(text)
      let decoded = ''
      for (const name of names) {
        expect(name.length).toBeLessThanOrEqual(255)
        expect(name).toMatch(/^[a-z0-9._\-+=,@~!%]+$/)
        expect(name).not.toMatch(/\.$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)|^%ws$/)
        const part = decodeName(name)
        decoded += part?.text ?? '?'
        if (part?.kind === 'folder') decoded += '/'
      }
      expect(decoded).toBe(text)
    }),
    { numRuns: 500 },
  )
})

function isLegal(key: string): boolean {
  try {
    assertObjectKey(key)
    return true
  } catch {
    return false
  }
}

async function keysOf(store: ReturnType<typeof localStore>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys
}
