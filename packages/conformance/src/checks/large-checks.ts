import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { WorkspaceError, type PutOptions } from '@ws/core'
import type { CheckContext, StoreCheck } from '../store-check.ts'
import { watchStrayErrors } from '../stray-errors.ts'
import {
  MIB,
  assertObject,
  collect,
  listKeys,
  orStuck,
  readObject,
  rejectionOf,
  sampleBytes,
  textBytes,
} from '../check-bodies.ts'

const STREAM_MIB = 200
/** For a store that holds its objects in memory, where a stream cannot be larger than that. */
const VOLATILE_STREAM_MIB = 64
/** No more than this may be read from a source ahead of what `onProgress` reports. */
const MAX_AHEAD_BYTES = 32 * MIB
/** No chunk of a body may be larger. */
const MAX_CHUNK_BYTES = 16 * MIB
/** What a transfer may add to the memory outside of JavaScript's heap, where buffers are. */
const MAX_MEMORY_BYTES = 128 * MIB
/** More than any service takes in one part, so that the body is sent in several. */
const PARTS_BYTES = 17 * MIB

export const largeChecks: readonly StoreCheck[] = [
  {
    name: 'a stream of 200 MiB goes in and out in pieces, read only a little ahead, in bounded memory',
    async run({ store, key, measured }) {
      const { volatile = false } = store.capabilities
      const pieces = volatile ? VOLATILE_STREAM_MIB : STREAM_MIB
      const memory = watchMemory()
      const sent = createHash('sha256')
      let pulled = 0
      let reported = 0
      let ahead = 0
      async function* source(): AsyncGenerator<Uint8Array> {
        const piece = sampleBytes(MIB)
        for (let count = 0; count < pieces; count += 1) {
          piece[0] = count
          sent.update(piece)
          pulled += piece.length
          ahead = Math.max(ahead, pulled - reported)
          memory.look()
          yield Uint8Array.from(piece)
        }
      }
      const info = await store.put(key('large'), source(), { onProgress: (bytes) => (reported = bytes) })
      assert.equal(info.size, pieces * MIB)
      const received = createHash('sha256')
      const found = await store.get(key('large'))
      for await (const chunk of found?.body ?? []) {
        assert.ok(chunk.length <= MAX_CHUNK_BYTES, `a chunk has ${chunk.length} bytes`)
        received.update(chunk)
        memory.look()
      }
      measured('streamedBytes', pieces * MIB)
      measured('readAheadBytes', ahead)
      measured('addedMemoryBytes', memory.peakBytes())
      assert.equal(received.digest('hex'), sent.digest('hex'))
      assert.ok(ahead <= MAX_AHEAD_BYTES, `the source was read ${ahead} bytes ahead`)
      if (!volatile)
        assert.ok(memory.peakBytes() <= MAX_MEMORY_BYTES, `it took ${memory.peakBytes()} bytes of memory`)
    },
  },
  {
    name: 'a source that fails after many parts leaves the old object, nothing in lists, and no other error',
    async run({ store, key, prefix, stuckAfterMs }) {
      await store.put(key('old'), textBytes('old'))
      const stray = watchStrayErrors()
      try {
        for (const name of ['old', 'new']) {
          const failure = new Error('the source broke')
          async function* source(): AsyncGenerator<Uint8Array> {
            yield* parts(PARTS_BYTES)
            throw failure
          }
          const put = (): Promise<unknown> => orStuck(store.put(key(name), source()), stuckAfterMs)
          assert.equal(await rejectionOf(put, 'a failing source'), failure)
        }
      } finally {
        await stray.end()
      }
      assert.deepEqual(stray.errors, [], 'errors came up beside the rejection')
      assert.deepEqual(await listKeys(store, prefix), [key('old')])
      await assertObject(store, key('old'), textBytes('old'))
    },
  },
  {
    name: 'a put that is aborted after many parts rejects at once, and the old object stays',
    async run({ store, key, prefix, stuckAfterMs }) {
      await store.put(key('old'), textBytes('old'))
      const stray = watchStrayErrors()
      try {
        for (const name of ['old', 'new']) {
          const controller = new AbortController()
          const reason = new Error('the caller had enough')
          async function* source(): AsyncGenerator<Uint8Array> {
            yield* parts(PARTS_BYTES)
            controller.abort(reason)
            await new Promise(() => {})
          }
          const put = (): Promise<unknown> =>
            orStuck(store.put(key(name), source(), { signal: controller.signal }), stuckAfterMs)
          assert.equal(await rejectionOf(put, 'an aborted put'), reason)
        }
      } finally {
        await stray.end()
      }
      assert.deepEqual(stray.errors, [], 'errors came up beside the rejection')
      assert.deepEqual(await listKeys(store, prefix), [key('old')])
      await assertObject(store, key('old'), textBytes('old'))
    },
  },
  {
    name: 'a body that is discarded unread, half-read or read raises no error that nobody caught',
    async run({ store, key }) {
      const bytes = sampleBytes(PARTS_BYTES)
      await store.put(key('a'), bytes)
      const stray = watchStrayErrors()
      try {
        const found = []
        for (const reads of [0, 1, Number.POSITIVE_INFINITY]) {
          const each = await store.get(key('a'))
          const chunks = each?.body[Symbol.asyncIterator]()
          for (let read = 0; read < reads; read += 1) if ((await chunks?.next())?.done !== false) break
          found.push(each)
        }
        for (const each of found) await each?.discard()
        await readObject(store, key('a'))
      } finally {
        await stray.end()
      }
      assert.deepEqual(stray.errors, [], 'errors came up beside the calls')
    },
  },
  {
    name: 'ifAbsent holds for a stream of many parts too, or is refused',
    needs: 'createIfAbsent',
    async run({ store, key }) {
      await store.put(key('old'), textBytes('old'))
      const put = (): Promise<unknown> => store.put(key('old'), parts(PARTS_BYTES), { ifAbsent: true })
      assertRefusal(await rejectionOf(put, 'ifAbsent on an object'))
      await assertObject(store, key('old'), textBytes('old'))
    },
  },
  {
    name: 'ifMatch holds for a stream of many parts too, or is refused',
    needs: 'replaceIfMatch',
    async run({ store, key }) {
      const { etag } = await store.put(key('old'), textBytes('older'))
      await store.put(key('old'), textBytes('old'))
      const put = (): Promise<unknown> => store.put(key('old'), parts(PARTS_BYTES), { ifMatch: etag })
      assertRefusal(await rejectionOf(put, 'ifMatch with an outdated etag'))
      await assertObject(store, key('old'), textBytes('old'))
    },
  },
  {
    name: 'of 4 racing ifAbsent streams of many parts no more than one wins, and its bytes are there',
    needs: 'createIfAbsent: atomic',
    async run(context) {
      await assertOneWinner(context, { ifAbsent: true })
    },
  },
  {
    name: 'of 4 racing ifMatch streams of many parts no more than one wins, and its bytes are there',
    needs: 'replaceIfMatch: atomic',
    async run(context) {
      const { etag } = await context.store.put(context.key('race'), textBytes('before'))
      await assertOneWinner(context, { ifMatch: etag })
    },
  },
  {
    name: 'streams at the same time on one key leave one whole body',
    async run({ store, key }) {
      const outcomes = await Promise.allSettled(
        [1, 2, 3].map((seed) => store.put(key('a'), parts(PARTS_BYTES, seed))),
      )
      for (const outcome of outcomes)
        if (outcome.status === 'rejected')
          assert.ok(
            WorkspaceError.is(outcome.reason) && outcome.reason.retryable,
            `a writer that lost got ${String(outcome.reason)}`,
          )
      assert.ok(
        outcomes.some(({ status }) => status === 'fulfilled'),
        'nobody won',
      )
      const stored = await readObject(store, key('a'))
      const bodies = await Promise.all([1, 2, 3].map((seed) => collect(parts(PARTS_BYTES, seed))))
      assert.ok(
        bodies.some((body) => body.equals(stored)),
        'what is stored is none of the bodies',
      )
    },
  },
]

async function* parts(bytes: number, seed = 1): AsyncGenerator<Uint8Array> {
  const piece = sampleBytes(MIB, seed)
  for (let count = 0; count < bytes / MIB; count += 1) {
    piece[0] = count
    yield Uint8Array.from(piece)
  }
}

/** A service whose uploads in parts know no conditions may refuse, but never ignore one. */
function assertRefusal(error: unknown): void {
  assert.ok(
    WorkspaceError.is(error, 'CONFLICT') || WorkspaceError.is(error, 'UNSUPPORTED'),
    `should have been refused with CONFLICT or UNSUPPORTED, but got ${String(error)}`,
  )
}

async function assertOneWinner({ store, key }: CheckContext, options: PutOptions): Promise<void> {
  const before = await store.head(key('race'))
  const outcomes = await Promise.allSettled(
    [1, 2, 3, 4].map((seed) => store.put(key('race'), parts(PARTS_BYTES, seed), options)),
  )
  const winners = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index + 1] : []))
  assert.ok(winners.length <= 1, `${winners.length} of 4 racers won`)
  for (const outcome of outcomes) if (outcome.status === 'rejected') assertRefusal(outcome.reason)
  const [winner] = winners
  if (winner !== undefined) return assertObject(store, key('race'), await collect(parts(PARTS_BYTES, winner)))
  for (const outcome of outcomes)
    assert.ok(
      outcome.status === 'rejected' && WorkspaceError.is(outcome.reason, 'UNSUPPORTED'),
      'nobody won, though the store does not refuse the condition',
    )
  assert.equal((await store.head(key('race')))?.etag, before?.etag)
}

/** Buffers live outside of the heap, so this does not depend on when the collector runs through it. */
/** What is held: when it seems too much, garbage is collected before it counts. */
function watchMemory(): { look(): void; peakBytes(): number } {
  const before = process.memoryUsage().external
  let peak = before
  return {
    look() {
      let { external } = process.memoryUsage()
      if (external - before > MAX_MEMORY_BYTES) {
        collectGarbage()
        external = process.memoryUsage().external
      }
      peak = Math.max(peak, external)
    },
    peakBytes: () => Math.max(0, peak - before),
  }
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
}
