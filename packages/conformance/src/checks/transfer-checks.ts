import assert from 'node:assert/strict'
import { WorkspaceError } from '@ws/core'
import type { CheckContext, StoreCheck } from '../store-check.ts'
import {
  MIB,
  assertAbsent,
  assertObject,
  collect,
  inChunks,
  listKeys,
  orStuck,
  rejectionOf,
  sampleBytes,
  textBytes,
} from '../check-bodies.ts'

/** In these, only bodies of more than 1 MiB are in trouble. */
const LARGE_BYTES = 3 * MIB

/** What a network does to bodies on their way: none of it makes a wrong object, or gives one out. */
export const transferChecks: readonly StoreCheck[] = [
  {
    name: 'a connection that is reset while a body is sent leaves the old object, and may be tried again',
    fixture: 'cutUploads',
    run: (context) => assertPutsFail(context, (error) => error.retryable),
  },
  {
    name: 'a body that is damaged while it is sent does not become an object',
    fixture: 'damagedUploads',
    needs: 'checksummedUploads',
    run: (context) => assertPutsFail(context, ({ code }) => code === 'UNAVAILABLE' || code === 'CORRUPT'),
  },
  {
    name: 'a connection that is reset while a body is received is an error, and not the end of the body',
    fixture: 'cutDownloads',
    run: (context) => assertReadFails(context, ({ code }) => code === 'UNAVAILABLE'),
  },
  {
    name: 'a body that is shorter than the object is an error, whatever its headers say',
    fixture: 'shortDownloads',
    run: (context) => assertReadFails(context, ({ code }) => code === 'UNAVAILABLE' || code === 'CORRUPT'),
  },
  {
    name: 'a body that is damaged while it is received is an error at its end',
    fixture: 'damagedDownloads',
    run: (context) => assertReadFails(context, ({ code }) => code === 'UNAVAILABLE' || code === 'CORRUPT'),
  },
  {
    name: 'a body that stops coming is left at once when the signal aborts',
    fixture: 'stalledDownloads',
    async run({ store, troubled, key, stuckAfterMs }) {
      await store.put(key('a'), sampleBytes(LARGE_BYTES))
      const controller = new AbortController()
      const reason = new Error('the caller had enough')
      const found = await troubled.get(key('a'), { signal: controller.signal })
      assert.ok(found !== null)
      const reading = collect(found.body)
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      controller.abort(reason)
      assert.equal(
        await rejectionOf(() => orStuck(reading, stuckAfterMs), 'a body that stops coming'),
        reason,
      )
    },
  },
]

async function assertPutsFail(
  { store, troubled, key, prefix, stuckAfterMs }: CheckContext,
  isRight: (error: WorkspaceError) => boolean,
): Promise<void> {
  await store.put(key('old'), textBytes('old'))
  const body = sampleBytes(LARGE_BYTES)
  for (const name of ['old', 'new'])
    for (const source of [body, inChunks(body, 100_000)]) {
      const error = await rejectionOf(() => orStuck(troubled.put(key(name), source), stuckAfterMs), 'the put')
      assert.ok(WorkspaceError.is(error) && isRight(error), `the put rejected with ${String(error)}`)
    }
  await assertObject(store, key('old'), textBytes('old'))
  await assertAbsent(store, key('new'))
  assert.deepEqual(await listKeys(store, prefix), [key('old')])
}

async function assertReadFails(
  { store, troubled, key, stuckAfterMs }: CheckContext,
  isRight: (error: WorkspaceError) => boolean,
): Promise<void> {
  await store.put(key('a'), sampleBytes(LARGE_BYTES))
  const read = async (): Promise<unknown> => {
    const found = await troubled.get(key('a'))
    return found === null ? null : (await collect(found.body)).length
  }
  const error = await rejectionOf(() => orStuck(read(), stuckAfterMs), 'the read')
  assert.ok(WorkspaceError.is(error) && isRight(error), `the read rejected with ${String(error)}`)
}
