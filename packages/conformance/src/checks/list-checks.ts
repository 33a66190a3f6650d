import assert from 'node:assert/strict'
import { compareKeys } from '@ws/core'
import type { CheckContext, StoreCheck } from '../store-check.ts'
import { inParallel, listKeys, rejectionOf, textBytes } from '../check-bodies.ts'

export const listChecks: readonly StoreCheck[] = [
  {
    name: 'list gives nothing where nothing is',
    async run({ store, key }) {
      await store.put(key('a'), textBytes('x'))
      assert.deepEqual(await listKeys(store, key('b')), [])
      assert.deepEqual(await listKeys(store, key('a/')), [])
    },
  },
  {
    name: "list goes by the keys' UTF-8 bytes",
    async run({ store, key, prefix }) {
      const inOrder = ['!', 'A', 'Z', 'a', 'a ', 'a-', 'a-/z', 'a.', 'a/', 'a0', 'aa', 'b', 'z', '~', 'é', '\ud7ff', '\uffe0', '\uffee', '😀', '\u{10ffff}']
        .map((name) => key(name === 'a/' ? 'a/b' : name)) // prettier-ignore
      for (const each of inOrder.toReversed()) await store.put(each, textBytes('x'))
      assert.deepEqual(await listKeys(store, prefix), inOrder)
    },
  },
  {
    name: 'a prefix is any beginning of keys, not only a folder',
    async run({ store, key }) {
      await putAll({ store, key }, ['run-1/a', 'run-1/b', 'run-10/a', 'run-2/a', 'run', 'Run-1/a'])
      assert.deepEqual(await listKeys(store, key('run-1')), [key('run-1/a'), key('run-1/b'), key('run-10/a')])
      assert.deepEqual(await listKeys(store, key('run-1/')), [key('run-1/a'), key('run-1/b')])
      assert.deepEqual(await listKeys(store, key('run-1/b')), [key('run-1/b')])
      assert.deepEqual(await listKeys(store, key('run-1/b/')), [])
    },
  },
  {
    name: 'the empty prefix lists everything',
    async run({ store, key, prefix }) {
      await store.put(key('a/b'), textBytes('x'))
      for await (const info of store.list('', { startAfter: prefix })) {
        assert.equal(info.key, key('a/b'))
        return
      }
      assert.fail('nothing was listed')
    },
  },
  {
    name: 'startAfter begins behind a position, whether an object is there or not',
    async run({ store, key, prefix }) {
      await putAll({ store, key }, ['a', 'a/b', 'b', 'c/d', 'c/e/f', 'd'])
      const after = (position: string): Promise<string[]> =>
        listKeys(store, prefix, { startAfter: key(position) })
      assert.deepEqual(await after('a'), ['a/b', 'b', 'c/d', 'c/e/f', 'd'].map(key))
      assert.deepEqual(await after('a/'), ['a/b', 'b', 'c/d', 'c/e/f', 'd'].map(key))
      assert.deepEqual(await after('b0'), ['c/d', 'c/e/f', 'd'].map(key))
      assert.deepEqual(await after('c/d'), ['c/e/f', 'd'].map(key))
      assert.deepEqual(await after('c/e/g'), ['d'].map(key))
      assert.deepEqual(await after('d'), [])
    },
  },
  {
    name: 'startAfter and prefix hold both',
    async run({ store, key }) {
      await putAll({ store, key }, ['a', 'b/1', 'b/2', 'b/3', 'c'])
      const within = (startAfter: string): Promise<string[]> => listKeys(store, key('b/'), { startAfter })
      assert.deepEqual(await within(key('a')), ['b/1', 'b/2', 'b/3'].map(key))
      assert.deepEqual(await within(key('b/2')), ['b/3'].map(key))
      assert.deepEqual(await within(key('bb')), [])
    },
  },
  {
    name: 'more than 2,500 keys of all shapes are listed once each, in order, also from the middle',
    async run({ store, key, prefix }) {
      const shapes = ['many/', 'many/é', 'many/~', 'many-', 'many/😀/', 'many/\uffee/', 'Many/']
      const keys = Array.from({ length: 2_503 }, (_, index) =>
        key(`${shapes[index % shapes.length]}${(index * 7_919) % 2_503}`),
      )
      await inParallel(keys, async (each) => {
        await store.put(each, textBytes('x'))
      })
      const inOrder = keys.toSorted(compareKeys)
      assert.deepEqual(await listKeys(store, prefix), inOrder)
      const middle = inOrder[1_400] ?? ''
      assert.deepEqual(await listKeys(store, prefix, { startAfter: middle }), inOrder.slice(1_401))
      const within = inOrder.filter((each) => each.startsWith(key('many/')))
      assert.deepEqual(await listKeys(store, key('many/')), within)
    },
  },
  {
    name: 'objects that are deleted while they are listed hide no others',
    async run({ store, key, prefix }) {
      const names = Array.from({ length: 60 }, (_, index) => `${index % 4}/${index}`)
      await putAll({ store, key }, names)
      const seen: string[] = []
      for await (const info of store.list(prefix)) {
        seen.push(info.key)
        await store.delete(info.key)
      }
      assert.deepEqual(seen, names.map(key).toSorted(compareKeys))
      assert.deepEqual(await listKeys(store, prefix), [])
    },
  },
  {
    name: 'a list that is aborted midway rejects with the reason',
    async run({ store, key, prefix }) {
      await putAll({ store, key }, ['a', 'b', 'c'])
      const controller = new AbortController()
      const reason = new Error('the caller had enough')
      const error = await rejectionOf(async () => {
        for await (const _ of store.list(prefix, { signal: controller.signal })) controller.abort(reason)
      }, 'an aborted list')
      assert.equal(error, reason)
    },
  },
]

async function putAll(
  { store, key }: Pick<CheckContext, 'store' | 'key'>,
  names: readonly string[],
): Promise<void> {
  for (const name of names) await store.put(key(name), textBytes(name))
}
