import assert from 'node:assert/strict'
import { WorkspaceError, type PutOptions } from '@ws/core'
import type { CheckContext, StoreCheck } from '../store-check.ts'
import {
  assertAbsent,
  assertObject,
  assertRejects,
  inChunks,
  sampleBytes,
  textBytes,
} from '../check-bodies.ts'

const RACERS = 16

export const conditionChecks: readonly StoreCheck[] = [
  {
    name: 'ifAbsent stores where nothing is, also after a delete',
    needs: 'createIfAbsent',
    async run({ store, key }) {
      await store.put(key('a'), textBytes('first'), { ifAbsent: true })
      await assertObject(store, key('a'), textBytes('first'))
      await store.delete(key('a'))
      await store.put(key('a'), textBytes('second'), { ifAbsent: true })
      await assertObject(store, key('a'), textBytes('second'))
    },
  },
  {
    name: 'ifAbsent refuses to replace an object',
    needs: 'createIfAbsent',
    async run({ store, key }) {
      await store.put(key('a'), textBytes('first'))
      await assertConflict({ store, key }, 'a', { ifAbsent: true })
      await assertObject(store, key('a'), textBytes('first'))
    },
  },
  {
    name: 'of 16 racing ifAbsent puts exactly one wins, and its bytes are there',
    needs: 'createIfAbsent: atomic',
    async run(context) {
      for (let round = 0; round < 4; round += 1)
        await assertOneWinner(context, `race-${round}`, { ifAbsent: true })
    },
  },
  {
    name: 'a bare put stores the whole body, and keeps its condition where the store creates atomically',
    async run({ store, key }) {
      await store.put(key('a'), textBytes('first'), { bare: true })
      await assertObject(store, key('a'), textBytes('first'))
      if (store.capabilities.createIfAbsent !== 'atomic') return
      await assertConflict({ store, key }, 'a', { ifAbsent: true, bare: true })
      await assertObject(store, key('a'), textBytes('first'))
    },
  },
  {
    name: 'ifMatch replaces the object with that etag',
    needs: 'replaceIfMatch',
    async run({ store, key }) {
      const first = await store.put(key('a'), textBytes('first'))
      const second = await store.put(key('a'), textBytes('second'), { ifMatch: first.etag })
      await assertObject(store, key('a'), textBytes('second'))
      const head = await store.head(key('a'))
      assert.equal(head?.etag, second.etag)
      await store.put(key('a'), textBytes('third'), { ifMatch: second.etag })
      await assertObject(store, key('a'), textBytes('third'))
    },
  },
  {
    name: 'ifMatch refuses an outdated etag',
    needs: 'replaceIfMatch',
    async run({ store, key }) {
      const first = await store.put(key('a'), textBytes('first'))
      await store.put(key('a'), textBytes('second'))
      await assertConflict({ store, key }, 'a', { ifMatch: first.etag })
      await assertObject(store, key('a'), textBytes('second'))
    },
  },
  {
    name: 'ifMatch refuses an absent key and creates nothing',
    needs: 'replaceIfMatch',
    async run({ store, key }) {
      const { etag } = await store.put(key('a'), textBytes('x'))
      await store.delete(key('a'))
      await assertConflict({ store, key }, 'a', { ifMatch: etag })
      await assertAbsent(store, key('a'))
    },
  },
  {
    name: 'of 16 racing ifMatch puts exactly one wins, and its bytes are there',
    needs: 'replaceIfMatch: atomic',
    async run(context) {
      for (let round = 0; round < 4; round += 1) {
        const { etag } = await context.store.put(context.key(`race-${round}`), textBytes('before'))
        await assertOneWinner(context, `race-${round}`, { ifMatch: etag })
      }
    },
  },
  {
    name: 'ifMatch counts no change twice and loses none, with 8 writers that retry',
    needs: 'replaceIfMatch: atomic',
    async run({ store, key }) {
      await store.put(key('counter'), Uint8Array.of(0))
      const increment = async (): Promise<void> => {
        for (;;) {
          try {
            const found = await store.get(key('counter'))
            assert.ok(found !== null)
            let value = 0
            for await (const chunk of found.body) value = chunk[0] ?? 0
            await store.put(key('counter'), Uint8Array.of(value + 1), { ifMatch: found.info.etag })
            return
          } catch (error) {
            if (!WorkspaceError.is(error, 'CONFLICT')) throw error
          }
        }
      }
      await Promise.all(Array.from({ length: 8 }, increment))
      await assertObject(store, key('counter'), Uint8Array.of(8))
    },
  },
  {
    name: 'both conditions together are refused',
    async run({ store, key }) {
      const put = (): Promise<unknown> =>
        store.put(key('a'), textBytes('x'), { ifAbsent: true, ifMatch: 'etag' })
      await assertRejects(put, 'INVALID_INPUT', 'ifAbsent with ifMatch')
      await assertAbsent(store, key('a'))
    },
  },
  {
    name: 'a condition that the store cannot keep is refused and not ignored',
    async run({ store, key }) {
      const { etag } = await store.put(key('a'), textBytes('first'))
      const refused: PutOptions[] = []
      if (store.capabilities.createIfAbsent === false) refused.push({ ifAbsent: true })
      if (store.capabilities.replaceIfMatch === false) refused.push({ ifMatch: etag })
      for (const options of refused) {
        const put = (): Promise<unknown> => store.put(key('a'), textBytes('second'), options)
        await assertRejects(put, 'UNSUPPORTED', JSON.stringify(options))
      }
      await assertObject(store, key('a'), textBytes('first'))
    },
  },
]

async function assertConflict(
  { store, key }: Pick<CheckContext, 'store' | 'key'>,
  name: string,
  options: PutOptions,
): Promise<void> {
  const what = JSON.stringify(options)
  for (const body of [textBytes('loser'), inChunks(textBytes('loser'), 2)]) {
    const error = await assertRejects(() => store.put(key(name), body, options), 'CONFLICT', what)
    assert.equal(error.details['condition'], options.ifAbsent === true ? 'ifAbsent' : 'ifMatch')
    assert.equal(typeof error.details['key'], 'string')
  }
}

async function assertOneWinner(
  { store, key }: CheckContext,
  name: string,
  options: PutOptions,
): Promise<void> {
  const bodies = Array.from({ length: RACERS }, (_, index) => sampleBytes(5_000, index + 1))
  const outcomes = await Promise.allSettled(
    bodies.map((body, index) =>
      store.put(key(name), index % 2 === 0 ? body : inChunks(body, 1_000), options),
    ),
  )
  const winners = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
  assert.equal(winners.length, 1, `${winners.length} of ${RACERS} racers won`)
  for (const outcome of outcomes)
    if (outcome.status === 'rejected')
      assert.ok(WorkspaceError.is(outcome.reason, 'CONFLICT'), `a loser got ${String(outcome.reason)}`)
  await assertObject(store, key(name), bodies[winners[0] ?? 0] ?? new Uint8Array(0))
}
