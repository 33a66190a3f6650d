import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { compareKeys } from '@ws/core'
import { keyOfLength, type CheckContext, type StoreCheck } from '../store-check.ts'
import { assertAbsent, assertObject, assertRejects, collect, listKeys, textBytes } from '../check-bodies.ts'

/** Legal, though one service or file system or another trips over each of them. */
const unusualNames = [
  'with space', ' leading', 'trailing ', '%41', '%', '%2F', '100%25', 'a#b', 'a?b=c&d', 'a+b', 'a:b', '*', '<>|"',
  "it's", '`$(x)`', 'a;b', '{x}[y]', '~', '^', '!', '!a', 'a=b,c@d', '-dash', '--', '.hidden', '...', 'a..b', '..a',
  'a.', 'a..', '.a.', 'con', 'NUL.txt', 'com1', 'lpt9.log', '__proto__', 'constructor', 'größe', '日本語', '😀',
  '👩‍👩‍👧', '\u00a0', '\ufeff', '\u2028', '\u200b', '\ufffd', 'İ', 'ß', 'deep/er/and/deep/er', 'a/.b/c', 'x/%/y', 'x/con/y',
  'x/y./z', 'ends/with /space',
] // prettier-ignore

export const keyChecks: readonly StoreCheck[] = [
  {
    name: 'unusual keys are stored, found, listed and deleted as exactly those keys',
    async run({ store, key, prefix }) {
      const keys = unusualNames.map(key)
      for (const each of keys) await store.put(each, textBytes(each))
      for (const each of keys) await assertObject(store, each, textBytes(each))
      assert.deepEqual(await listKeys(store, prefix), keys.toSorted(compareKeys))
      for (const each of keys) await store.delete(each)
      assert.deepEqual(await listKeys(store, prefix), [])
    },
  },
  {
    name: 'keys of the greatest length work, in one segment, in many, and in characters of four bytes',
    async run({ store, key, prefix, maxKeyBytes, maxKeySegments }) {
      const room = maxKeyBytes - Buffer.byteLength(prefix)
      const folders = Math.min(Math.ceil(room / 3), maxKeySegments - 2)
      const segments = 'ab/'.repeat(folders).slice(0, room - 1)
      const emoji = '😀'.repeat(Math.floor(room / 4))
      const keys = [
        keyOfLength(prefix, maxKeyBytes),
        keyOfLength(key(`${keyOfLength('', 300)}/`), maxKeyBytes),
        keyOfLength(key(`${segments}z`), maxKeyBytes),
        keyOfLength(key(emoji), maxKeyBytes),
      ]
      for (const each of keys) {
        assert.equal(Buffer.byteLength(each), maxKeyBytes)
        await store.put(each, textBytes(each))
      }
      for (const each of keys) await assertObject(store, each, textBytes(each))
      assert.deepEqual(await listKeys(store, prefix), keys.toSorted(compareKeys))
    },
  },
  {
    name: 'long keys that differ in their last character only are kept apart',
    async run({ store, prefix, maxKeyBytes }) {
      const start = keyOfLength(prefix, maxKeyBytes - 1)
      await store.put(`${start}1`, textBytes('1'))
      await store.put(`${start}2`, textBytes('2'))
      await assertObject(store, `${start}1`, textBytes('1'))
      await assertObject(store, `${start}2`, textBytes('2'))
    },
  },
  {
    name: 'keys that differ in case only are kept apart',
    async run(context) {
      await assertKeptApart(context, ['readme', 'README', 'Readme', 'folder/x', 'Folder/x', 'é', 'É'])
    },
  },
  {
    name: 'keys that differ in Unicode normalisation only are kept apart',
    async run(context) {
      await assertKeptApart(context, ['caf\u00e9', 'cafe\u0301', '\u212b', '\u00c5', 'A\u030a'])
    },
  },
  {
    name: 'an object and objects below its key live side by side',
    async run({ store, key, prefix }) {
      const names = ['a', 'a/b', 'a/b/c', 'a/b/c/d']
      for (const name of names) await store.put(key(name), textBytes(name))
      for (const name of names) await assertObject(store, key(name), textBytes(name))
      await store.delete(key('a/b'))
      await assertAbsent(store, key('a/b'))
      assert.deepEqual(await listKeys(store, prefix), [key('a'), key('a/b/c'), key('a/b/c/d')])
    },
  },
  {
    name: 'illegal keys are refused by every method before anything happens',
    async run(context) {
      for (const illegal of illegalKeys(context)) await assertKeyRefused(context, illegal)
      assert.deepEqual(await listKeys(context.store, context.prefix), [])
    },
  },
  {
    name: 'illegal prefixes are refused by list',
    async run({ store, prefix }) {
      const illegal = [
        '/',
        '//',
        '../',
        './a',
        `${prefix}/`,
        `${prefix}../`,
        `${prefix}a\\`,
        `${prefix}\u0000`,
      ]
      for (const each of illegal)
        await assertRejects(() => listKeys(store, each), 'INVALID_INPUT', `list(${JSON.stringify(each)})`)
    },
  },
]

function illegalKeys({ key, prefix, maxKeyBytes }: CheckContext): string[] {
  const names = ['', 'a/', '/a', 'a//b', '.', '..', 'a/.', 'a/..', './a', '../a', 'a/../b', 'a\\b', '..\\a',
    'a\u0000b', 'a\nb', 'a\u001f', 'a\u007f', '\ud800', 'a\udc00b'] // prettier-ignore
  return ['', '/', '/a', '..', '../a', ...names.map(key), keyOfLength(prefix, maxKeyBytes + 1)]
}

async function assertKeyRefused({ store }: CheckContext, key: string): Promise<void> {
  const shown = JSON.stringify(key)
  let isTouched = false
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]() {
      isTouched = true
      return (async function* () {})()
    },
  }
  await assertRejects(() => store.put(key, body), 'INVALID_INPUT', `put(${shown})`)
  assert.equal(isTouched, false, `put(${shown}) read the body`)
  await assertRejects(() => store.get(key), 'INVALID_INPUT', `get(${shown})`)
  await assertRejects(() => store.head(key), 'INVALID_INPUT', `head(${shown})`)
  await assertRejects(() => store.delete(key), 'INVALID_INPUT', `delete(${shown})`)
  if (store.signedUrl !== undefined) {
    const sign = store.signedUrl.bind(store)
    await assertRejects(() => sign(key, { method: 'GET' }), 'INVALID_INPUT', `signedUrl(${shown})`)
  }
}

async function assertKeptApart(
  { store, key, prefix }: CheckContext,
  names: readonly string[],
): Promise<void> {
  for (const name of names) await store.put(key(name), textBytes(JSON.stringify(name)))
  for (const name of names) {
    const found = await store.get(key(name))
    assert.ok(found !== null, `${JSON.stringify(name)} is gone`)
    assert.equal((await collect(found.body)).toString(), JSON.stringify(name))
  }
  assert.deepEqual(await listKeys(store, prefix), names.map(key).toSorted(compareKeys))
}
