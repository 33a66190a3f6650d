import assert from 'node:assert/strict'
import type { StoreCheck } from '../store-check.ts'
import {
  MIB,
  assertAbsent,
  assertBytes,
  assertObject,
  collect,
  inChunks,
  readObject,
  sampleBytes,
  streamOf,
  textBytes,
} from '../check-bodies.ts'

export const roundTripChecks: readonly StoreCheck[] = [
  {
    name: 'an empty object comes back as an object without bytes',
    async run({ store, key }) {
      for (const [name, body] of Object.entries({ array: new Uint8Array(0), stream: streamOf() })) {
        const info = await store.put(key(name), body)
        assert.equal(info.size, 0)
        assert.equal((await readObject(store, key(name))).length, 0)
      }
    },
  },
  {
    name: 'an object of one byte comes back',
    async run({ store, key }) {
      await store.put(key('one'), Uint8Array.of(0))
      await assertObject(store, key('one'), Uint8Array.of(0))
    },
  },
  {
    name: 'a stream of 5 MiB comes back byte for byte',
    async run({ store, key }) {
      const bytes = sampleBytes(5 * MIB + 1)
      const info = await store.put(key('large'), inChunks(bytes, 65_536))
      assert.equal(info.size, bytes.length)
      await assertObject(store, key('large'), bytes)
    },
  },
  {
    name: 'chunks of odd sizes, empty ones among them, become one object',
    async run({ store, key }) {
      const bytes = sampleBytes(200_000)
      const cuts = [0, 1, 1, 4_096, 4_099, 70_001, 70_001, 199_999, 200_000]
      const chunks = cuts.map((cut, index) => bytes.subarray(cuts[index - 1] ?? 0, cut))
      await store.put(key('odd'), streamOf(...chunks))
      await assertObject(store, key('odd'), bytes)
    },
  },
  {
    name: 'a view stores its own bytes and not those of the buffer around it',
    async run({ store, key }) {
      const around = sampleBytes(1_000)
      await store.put(key('view'), around.subarray(100, 200))
      await assertObject(store, key('view'), around.slice(100, 200))
    },
  },
  {
    name: 'a put replaces the whole object',
    async run({ store, key }) {
      await store.put(key('a'), sampleBytes(10_000, 1))
      await store.put(key('a'), sampleBytes(10, 2))
      await assertObject(store, key('a'), sampleBytes(10, 2))
      await store.put(key('a'), streamOf(sampleBytes(20_000, 3)))
      await assertObject(store, key('a'), sampleBytes(20_000, 3))
    },
  },
  {
    name: 'put, head, get and list agree on key, size, etag and time',
    async run({ store, key, prefix }) {
      const put = await store.put(key('a'), streamOf(sampleBytes(1_234)))
      const head = await store.head(key('a'))
      const got = await store.get(key('a'))
      await got?.discard()
      const listed = []
      for await (const info of store.list(prefix)) listed.push(info)
      assert.equal(listed.length, 1)
      for (const info of [put, head, got?.info, listed[0]]) {
        assert.equal(info?.key, key('a'))
        assert.equal(info.size, 1_234)
        assert.ok(info.etag !== '' && info.etag === put.etag, `etag ${info.etag} instead of ${put.etag}`)
        assert.ok(info.modifiedAt instanceof Date && !Number.isNaN(info.modifiedAt.getTime()))
      }
    },
  },
  {
    name: 'the etag changes when the content changes, also to content of the same size',
    async run({ store, key }) {
      const etags = new Set<string>()
      for (let seed = 1; seed <= 8; seed += 1)
        etags.add((await store.put(key('a'), sampleBytes(100, seed))).etag)
      assert.equal(etags.size, 8)
    },
  },
  {
    name: 'an absent key gives null',
    async run({ store, key }) {
      await assertAbsent(store, key('never'))
    },
  },
  {
    name: 'the beginning of a key is no object, nor is anything below a key',
    async run({ store, key }) {
      await store.put(key('folder/file'), textBytes('x'))
      await assertAbsent(store, key('folder'))
      await assertAbsent(store, key('fold'))
      await assertAbsent(store, key('folder/file/below'))
    },
  },
  {
    name: 'delete removes the object, and a put brings a new one',
    async run({ store, key }) {
      await store.put(key('a'), textBytes('first'))
      await store.delete(key('a'))
      await assertAbsent(store, key('a'))
      await store.put(key('a'), textBytes('second'))
      await assertObject(store, key('a'), textBytes('second'))
    },
  },
  {
    name: 'deleting an absent key succeeds and removes nothing else',
    async run({ store, key }) {
      await store.put(key('ab'), textBytes('x'))
      await store.delete(key('a'))
      await store.delete(key('ab/c'))
      await store.delete(key('never/at/all'))
      await assertObject(store, key('ab'), textBytes('x'))
    },
  },
  {
    name: 'content type and metadata come back from get and head',
    needs: 'metadata',
    async run({ store, key }) {
      const metadata = { author: 'a "quoted" name; v=1', 'x-2': '' }
      await store.put(key('a'), textBytes('x'), { contentType: 'text/plain; charset=utf-8', metadata })
      const got = await store.get(key('a'))
      await got?.discard()
      for (const info of [await store.head(key('a')), got?.info]) {
        assert.equal(info?.contentType, 'text/plain; charset=utf-8')
        assert.deepEqual({ ...info?.metadata }, metadata)
      }
    },
  },
  {
    name: 'a put without metadata leaves none of the old object',
    needs: 'metadata',
    async run({ store, key }) {
      await store.put(key('a'), textBytes('x'), { contentType: 'text/plain', metadata: { old: 'yes' } })
      await store.put(key('a'), textBytes('y'))
      const info = await store.head(key('a'))
      assert.deepEqual({ ...info?.metadata }, {})
      assert.notEqual(info?.contentType, 'text/plain')
    },
  },
  {
    name: 'changing an array after it was put does not change the object',
    async run({ store, key }) {
      const whole = textBytes('unchanged')
      const chunk = textBytes('unchanged')
      await store.put(key('array'), whole)
      await store.put(key('stream'), streamOf(chunk))
      whole.fill(0)
      chunk.fill(0)
      await assertObject(store, key('array'), textBytes('unchanged'))
      await assertObject(store, key('stream'), textBytes('unchanged'))
    },
  },
  {
    name: 'a source may reuse its memory for the next chunk',
    async run({ store, key }) {
      async function* reusing(): AsyncGenerator<Uint8Array> {
        const memory = new Uint8Array(700_000)
        for (let value = 1; value <= 4; value += 1) yield memory.fill(value)
      }
      await store.put(key('a'), reusing())
      const bytes = await readObject(store, key('a'))
      for (let part = 0; part < 4; part += 1)
        assert.ok(bytes.subarray(part * 700_000, (part + 1) * 700_000).every((byte) => byte === part + 1))
    },
  },
  {
    name: 'changing what was read does not change the object',
    async run({ store, key }) {
      await store.put(key('a'), textBytes('unchanged'))
      const found = await store.get(key('a'))
      for await (const chunk of found?.body ?? []) chunk.fill(0)
      await assertObject(store, key('a'), textBytes('unchanged'))
    },
  },
  {
    name: 'two readers read the same object at the same time',
    async run({ store, key }) {
      const bytes = sampleBytes(2 * MIB)
      await store.put(key('a'), bytes)
      const [left, right] = await Promise.all([store.get(key('a')), store.get(key('a'))])
      assert.ok(left !== null && right !== null)
      const [leftBytes, rightBytes] = await Promise.all([collect(left.body), collect(right.body)])
      assertBytes(leftBytes, bytes, 'first reader')
      assertBytes(rightBytes, bytes, 'second reader')
    },
  },
  {
    name: 'a body can be discarded unread, half-read and twice',
    async run({ store, key }) {
      const bytes = sampleBytes(3 * MIB)
      await store.put(key('a'), bytes)
      const unread = await store.get(key('a'))
      await unread?.discard()
      await unread?.discard()
      const halfRead = await store.get(key('a'))
      assert.ok(halfRead !== null)
      await halfRead.body[Symbol.asyncIterator]().next()
      await halfRead.discard()
      await store.put(key('a'), textBytes('next'))
      await assertObject(store, key('a'), textBytes('next'))
    },
  },
  {
    name: 'a reader never gets a mixture when the object is replaced meanwhile',
    async run({ store, key }) {
      const before = sampleBytes(8 * MIB, 1)
      await store.put(key('a'), before)
      const found = await store.get(key('a'))
      assert.ok(found !== null)
      const chunks: Uint8Array[] = []
      try {
        for await (const chunk of found.body) {
          if (chunks.length === 0) await store.put(key('a'), sampleBytes(8 * MIB, 2))
          chunks.push(Uint8Array.from(chunk))
        }
      } catch {
        return
      }
      assertBytes(Buffer.concat(chunks), before, 'the object that was opened')
    },
  },
]
