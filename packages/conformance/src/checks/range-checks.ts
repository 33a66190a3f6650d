import assert from 'node:assert/strict'
import type { StoreCheck } from '../store-check.ts'
import { MIB, assertBytes, assertRejects, readObject, sampleBytes } from '../check-bodies.ts'

export const rangeChecks: readonly StoreCheck[] = [
  {
    name: 'a range gives the bytes from start up to, not including, end',
    needs: 'rangeReads',
    async run({ store, key }) {
      const bytes = sampleBytes(1_000)
      await store.put(key('a'), bytes)
      for (const [start, end] of [[0, 1], [0, 1_000], [1, 3], [250, 750], [999, 1_000]] as const) {
        const read = await readObject(store, key('a'), { range: { start, end } })
        assertBytes(read, bytes.subarray(start, end), `${start}..${end}`)
      }
    },
  }, // prettier-ignore
  {
    name: 'a range without an end goes to the end of the object',
    needs: 'rangeReads',
    async run({ store, key }) {
      const bytes = sampleBytes(1_000)
      await store.put(key('a'), bytes)
      for (const start of [0, 1, 999])
        assertBytes(
          await readObject(store, key('a'), { range: { start } }),
          bytes.subarray(start),
          `${start}..`,
        )
    },
  },
  {
    name: 'a range that ends past the object is cut to it',
    needs: 'rangeReads',
    async run({ store, key }) {
      const bytes = sampleBytes(1_000)
      await store.put(key('a'), bytes)
      const read = await readObject(store, key('a'), { range: { start: 990, end: 5_000 } })
      assertBytes(read, bytes.subarray(990), '990..5000')
    },
  },
  {
    name: 'a range that starts at or past the end of the object is refused',
    needs: 'rangeReads',
    async run({ store, key }) {
      await store.put(key('a'), sampleBytes(1_000))
      for (const start of [1_000, 1_001, 5_000_000])
        await assertRejects(
          () => readObject(store, key('a'), { range: { start } }),
          'INVALID_INPUT',
          `${start}..`,
        )
    },
  },
  {
    name: 'every range of an empty object is refused',
    needs: 'rangeReads',
    async run({ store, key }) {
      await store.put(key('a'), new Uint8Array(0))
      for (const range of [{ start: 0 }, { start: 0, end: 1 }])
        await assertRejects(() => readObject(store, key('a'), { range }), 'INVALID_INPUT', `${range.start}..`)
    },
  },
  {
    name: 'a range that is not one is refused',
    needs: 'rangeReads',
    async run({ store, key }) {
      await store.put(key('a'), sampleBytes(1_000))
      const ranges = [
        { start: -1 },
        { start: 0.5 },
        { start: Number.NaN },
        { start: 5, end: 5 },
        { start: 5, end: 4 },
        { start: 0, end: 1.5 },
      ]
      for (const range of ranges)
        await assertRejects(
          () => readObject(store, key('a'), { range }),
          'INVALID_INPUT',
          `${range.start}..${range.end ?? ''}`,
        )
    },
  },
  {
    name: 'a range of an absent key gives null',
    needs: 'rangeReads',
    async run({ store, key }) {
      assert.equal(await store.get(key('never'), { range: { start: 0, end: 10 } }), null)
    },
  },
  {
    name: 'the information beside a range is about the whole object',
    needs: 'rangeReads',
    async run({ store, key }) {
      const { etag } = await store.put(key('a'), sampleBytes(1_000))
      const found = await store.get(key('a'), { range: { start: 10, end: 20 } })
      await found?.discard()
      assert.equal(found?.info.size, 1_000)
      assert.equal(found.info.etag, etag)
    },
  },
  {
    name: 'ranges of a large object start and end anywhere',
    needs: 'rangeReads',
    async run({ store, key }) {
      const bytes = sampleBytes(3 * MIB)
      await store.put(key('a'), bytes)
      for (const [start, end] of [[MIB - 1, MIB + 1], [MIB, 2 * MIB], [5, 3 * MIB - 5], [2 * MIB + 7, 3 * MIB]] as const) {
        const read = await readObject(store, key('a'), { range: { start, end } })
        assertBytes(read, bytes.subarray(start, end), `${start}..${end}`)
      }
    },
  }, // prettier-ignore
  {
    name: 'a store without range reads refuses a range and does not ignore it',
    async run({ store, key }) {
      if (store.capabilities.rangeReads) return
      await store.put(key('a'), sampleBytes(1_000))
      const read = (): Promise<unknown> => readObject(store, key('a'), { range: { start: 0, end: 1 } })
      await assertRejects(read, 'UNSUPPORTED', 'a range')
    },
  },
]
