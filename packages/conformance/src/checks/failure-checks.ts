import assert from 'node:assert/strict'
import type { ObjectBody, PutOptions } from '@ws/core'
import type { CheckContext, StoreCheck } from '../store-check.ts'
import {
  MIB,
  assertAbsent,
  assertObject,
  assertRejects,
  failingAfter,
  inChunks,
  listKeys,
  orStuck,
  rejectionOf,
  sampleBytes,
  streamOf,
  textBytes,
} from '../check-bodies.ts'

export const failureChecks: readonly StoreCheck[] = [
  {
    name: 'a body of exactly the given size is stored',
    async run({ store, key }) {
      await store.put(key('array'), sampleBytes(1_000), { size: 1_000 })
      await store.put(key('stream'), inChunks(sampleBytes(1_000), 300), { size: 1_000 })
      await store.put(key('empty'), streamOf(), { size: 0 })
      await assertObject(store, key('array'), sampleBytes(1_000))
      await assertObject(store, key('stream'), sampleBytes(1_000))
    },
  },
  {
    name: 'a body shorter than the given size is refused and nothing changes',
    async run(context) {
      const bodies = [textBytes('short'), streamOf(textBytes('sho'), textBytes('rt')), streamOf()]
      for (const body of bodies) await assertPutRefused(context, body, { size: 6 })
    },
  },
  {
    name: 'a body longer than the given size is refused and nothing changes',
    async run(context) {
      const bodies = [textBytes('too long'), streamOf(textBytes('too'), textBytes(' long'))]
      for (const body of bodies) await assertPutRefused(context, body, { size: 7 })
      await assertPutRefused(context, streamOf(textBytes('x')), { size: 0 })
    },
  },
  {
    name: 'options that mean nothing are refused and nothing changes',
    async run(context) {
      for (const options of [
        { size: -1 },
        { size: 1.5 },
        { metadata: { 'Upper-Case': 'x' } },
        { metadata: { name: 'not ascii: é' } },
        { metadata: { name: 'two\nlines' } },
        { metadata: { name: 'x'.repeat(3_000) } },
        { contentType: 'text/plain\r\nx-injected: yes' },
      ])
        await assertPutRefused(context, textBytes('x'), options)
    },
  },
  {
    name: 'a source that fails midway gives its own error, and the old object stays',
    async run({ store, key, prefix }) {
      await store.put(key('old'), textBytes('old'))
      for (const name of ['old', 'new'])
        for (const first of [sampleBytes(10), sampleBytes(2 * MIB)]) {
          const failure = new Error('the source broke')
          const put = (): Promise<unknown> => store.put(key(name), failingAfter(first, failure))
          assert.equal(await rejectionOf(put, 'a failing source'), failure)
        }
      assert.deepEqual(await listKeys(store, prefix), [key('old')])
      await assertObject(store, key('old'), textBytes('old'))
    },
  },
  {
    name: 'every call with an aborted signal rejects with its reason, and changes nothing',
    async run({ store, key, prefix }) {
      await store.put(key('a'), textBytes('old'))
      const reason = new Error('the caller had enough')
      const signal = AbortSignal.abort(reason)
      const calls: Record<string, () => Promise<unknown>> = {
        get: () => store.get(key('a'), { signal }),
        head: () => store.head(key('a'), { signal }),
        put: () => store.put(key('a'), textBytes('new'), { signal }),
        'put of a stream': () => store.put(key('b'), streamOf(textBytes('new')), { signal }),
        delete: () => store.delete(key('a'), { signal }),
        list: async () => {
          for await (const info of store.list(prefix, { signal })) return info.key
          return 'nothing'
        },
      }
      for (const [method, call] of Object.entries(calls))
        assert.equal(await rejectionOf(call, method), reason)
      assert.deepEqual(await listKeys(store, prefix), [key('a')])
      await assertObject(store, key('a'), textBytes('old'))
    },
  },
  {
    name: 'a put that is aborted midway rejects with the reason, and the old object stays',
    async run({ store, key, prefix }) {
      await store.put(key('old'), textBytes('old'))
      for (const name of ['old', 'new']) {
        const controller = new AbortController()
        const reason = new Error('the caller had enough')
        async function* source(): AsyncGenerator<Uint8Array> {
          yield sampleBytes(2 * MIB)
          controller.abort(reason)
          yield sampleBytes(2 * MIB)
        }
        const put = (): Promise<unknown> => store.put(key(name), source(), { signal: controller.signal })
        assert.equal(await rejectionOf(put, 'an aborted put'), reason)
      }
      assert.deepEqual(await listKeys(store, prefix), [key('old')])
      await assertObject(store, key('old'), textBytes('old'))
    },
  },
  {
    name: 'an abort after the last byte, before the source has ended, stores nothing',
    async run({ store, key }) {
      const controller = new AbortController()
      const reason = new Error('the caller had enough')
      async function* source(): AsyncGenerator<Uint8Array> {
        yield textBytes('everything')
        controller.abort(reason)
      }
      const put = (): Promise<unknown> => store.put(key('a'), source(), { signal: controller.signal })
      assert.equal(await rejectionOf(put, 'an aborted put'), reason)
      await assertAbsent(store, key('a'))
    },
  },
  {
    name: 'an abort ends a put whose source never answers',
    async run({ store, key, stuckAfterMs }) {
      const controller = new AbortController()
      const reason = new Error('the caller had enough')
      async function* source(): AsyncGenerator<Uint8Array> {
        yield textBytes('one')
        setImmediate(() => controller.abort(reason))
        await new Promise(() => {})
      }
      const put = (): Promise<unknown> => store.put(key('a'), source(), { signal: controller.signal })
      assert.equal(await rejectionOf(() => orStuck(put(), stuckAfterMs), 'an aborted put'), reason)
      await assertAbsent(store, key('a'))
    },
  },
  {
    name: 'a body whose signal aborts midway rejects with the reason',
    async run({ store, key }) {
      await store.put(key('a'), sampleBytes(16 * MIB))
      const controller = new AbortController()
      const reason = new Error('the caller had enough')
      const found = await store.get(key('a'), { signal: controller.signal })
      assert.ok(found !== null)
      const error = await rejectionOf(async () => {
        for await (const _ of found.body) controller.abort(reason)
      }, 'an aborted body')
      assert.equal(error, reason)
    },
  },
  {
    name: 'a source is stopped when its put is refused midway',
    async run({ store, key }) {
      let isStopped = false
      async function* source(): AsyncGenerator<Uint8Array> {
        try {
          for (;;) yield sampleBytes(1_000)
        } finally {
          isStopped = true
        }
      }
      const put = (): Promise<unknown> => store.put(key('a'), source(), { size: 10_500 })
      await assertRejects(put, 'INVALID_INPUT', 'an endless source')
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(isStopped, 'the source was left open')
    },
  },
]

/** The put is `INVALID_INPUT`, the key stays absent, and an object that was there stays as it was. */
async function assertPutRefused(
  { store, key }: CheckContext,
  body: ObjectBody,
  options: PutOptions,
): Promise<void> {
  const again = body instanceof Uint8Array ? body : streamOf()
  const shown = JSON.stringify(options).slice(0, 100)
  await assertRejects(() => store.put(key('new'), body, options), 'INVALID_INPUT', shown)
  await assertAbsent(store, key('new'))
  await store.put(key('old'), textBytes('old'))
  if (options.size !== 0)
    await assertRejects(() => store.put(key('old'), again, options), 'INVALID_INPUT', shown)
  await assertObject(store, key('old'), textBytes('old'))
}
