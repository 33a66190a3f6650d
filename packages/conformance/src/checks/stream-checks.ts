import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import type { StoreCheck } from '../store-check.ts'
import {
  assertBytes,
  assertObject,
  collect,
  inChunks,
  readObject,
  rejectionOf,
  sampleBytes,
  textBytes,
} from '../check-bodies.ts'

export const streamChecks: readonly StoreCheck[] = [
  {
    name: 'onProgress reports rising numbers that end at the size',
    async run({ store, key }) {
      for (const body of [sampleBytes(100_000), inChunks(sampleBytes(100_000), 9_999)]) {
        const reports: number[] = []
        await store.put(key('a'), body, { onProgress: (bytes) => reports.push(bytes) })
        assert.equal(reports.at(-1), 100_000)
        assert.deepEqual(
          reports,
          [...new Set(reports)].sort((left, right) => left - right),
        )
      }
    },
  },
  {
    name: 'chunks that may be used anew are right until the next one is asked for',
    async run({ store, key }) {
      const body = sampleBytes(3_500_000)
      await store.put(key('a'), body)
      for (const [start, end] of [
        [0, body.length],
        [700_001, 3_300_000],
        [10, 20],
      ] as const) {
        const range = store.capabilities.rangeReads ? { start, end } : undefined
        const wanted = range === undefined ? body : body.subarray(start, end)
        const found = await store.get(key('a'), { range, reusesChunks: true })
        assert.ok(found !== null, 'get gave null for an object that was put')
        const copies: Uint8Array[] = []
        for await (const chunk of found.body) copies.push(Uint8Array.from(chunk))
        assertBytes(Buffer.concat(copies), wanted, 'chunks used anew')
      }
      const kept = await store.get(key('a'))
      assert.ok(kept !== null, 'get gave null for an object that was put')
      assertBytes(await collect(kept.body), body, 'chunks that are kept')
    },
  },
  {
    name: 'puts at the same time on one key leave one whole body',
    async run({ store, key }) {
      const bodies = Array.from({ length: 8 }, (_, index) => sampleBytes(400_000 + index, index + 1))
      const infos = await Promise.all(bodies.map((body) => store.put(key('a'), inChunks(body, 50_000))))
      const stored = await readObject(store, key('a'))
      const winner = bodies.findIndex((body) => stored.equals(body))
      assert.ok(winner >= 0, 'what is stored is none of the bodies')
      assert.equal((await store.head(key('a')))?.etag, infos[winner]?.etag)
    },
  },
  {
    name: 'puts and deletes at the same time in one folder lose no other object',
    async run({ store, key }) {
      await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          for (let round = 0; round < 8; round += 1) {
            await store.put(key(`folder/${index}/a`), textBytes(`${round}`))
            await assertObject(store, key(`folder/${index}/a`), textBytes(`${round}`))
            await store.delete(key(`folder/${index}/a`))
          }
          await store.put(key(`folder/${index}/a`), textBytes('last'))
        }),
      )
      for (let index = 0; index < 8; index += 1)
        await assertObject(store, key(`folder/${index}/a`), textBytes('last'))
    },
  },
  {
    name: 'signedUrl is there exactly when it is claimed, and makes a URL that expires',
    async run({ store, key }) {
      assert.equal(store.signedUrl !== undefined, store.capabilities.signedUrls)
      if (store.signedUrl === undefined) return
      const sign = store.signedUrl.bind(store)
      await store.put(key('a'), textBytes('x'))
      const url = await sign(key('a'), { method: 'GET', expiresInMs: 60_000 })
      assert.ok(url instanceof URL)
      const reason = new Error('the caller had enough')
      const aborted = (): Promise<unknown> =>
        sign(key('a'), { method: 'GET', signal: AbortSignal.abort(reason) })
      assert.equal(await rejectionOf(aborted, 'an aborted signedUrl'), reason)
    },
  },
]
