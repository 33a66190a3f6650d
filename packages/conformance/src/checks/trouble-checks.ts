import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { WorkspaceError, type CallOptions, type ErrorCode, type ObjectStore } from '@ws/core'
import type { CheckContext, StoreCheck } from '../store-check.ts'
import {
  assertObject,
  collect,
  inChunks,
  orStuck,
  rejectionOf,
  sampleBytes,
  textBytes,
} from '../check-bodies.ts'

/** What the service refuses, or does not answer at all: an answer that is an error is never taken for absence. */
export const troubleChecks: readonly StoreCheck[] = [
  {
    name: 'a missing bucket is an error of every call, and never absence',
    fixture: 'missingBucket',
    run: (context) => assertAllReject(context, ['NOT_FOUND', 'ACCESS_DENIED']),
  },
  {
    name: 'wrong credentials are ACCESS_DENIED for every call, and no error repeats them',
    fixture: 'wrongCredentials',
    run: (context) => assertAllReject(context, ['ACCESS_DENIED']),
  },
  {
    name: 'credentials that may only read do read, and are ACCESS_DENIED for changes',
    fixture: 'readOnlyCredentials',
    async run(context) {
      const { store, troubled, key } = context
      await store.put(key('a'), textBytes('old'))
      await assertObject(troubled, key('a'), textBytes('old'))
      await assertAllReject(context, ['ACCESS_DENIED'], ['put', 'put of a stream', 'delete'])
      await assertObject(store, key('a'), textBytes('old'))
    },
  },
  {
    name: 'an outage is UNAVAILABLE or TIMEOUT for every call, and never absence',
    fixture: 'outage',
    run: (context) => assertAllReject(context, ['UNAVAILABLE', 'TIMEOUT']),
  },
  {
    name: 'a service that is busy is UNAVAILABLE for every call, so that callers come again later',
    fixture: 'throttled',
    run: (context) => assertAllReject(context, ['UNAVAILABLE']),
  },
  {
    name: 'the login page of a network is UNAVAILABLE for every call, and never an object',
    fixture: 'captivePortal',
    run: (context) => assertAllReject(context, ['UNAVAILABLE']),
  },
  {
    name: 'clocks that differ are refused or do no harm, and are never absence',
    fixture: 'clockSkew',
    async run({ store, troubled, key }) {
      await store.put(key('a'), textBytes('old'))
      for (const [name, call] of Object.entries(callsOn(troubled, key('a'), key('')))) {
        const outcome = await call({}).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        )
        if ('error' in outcome)
          assert.ok(
            WorkspaceError.is(outcome.error, 'ACCESS_DENIED') ||
              WorkspaceError.is(outcome.error, 'UNAVAILABLE'),
            `${name} rejected with ${String(outcome.error)}`,
          )
        else assert.notEqual(outcome.value, null, `${name} shows no object, though there is one`)
      }
    },
  },
  {
    name: 'a service that never answers is left at once when the signal aborts',
    fixture: 'stalled',
    async run({ troubled, key, stuckAfterMs }) {
      for (const [name, call] of Object.entries(callsOn(troubled, key('a'), key('')))) {
        const controller = new AbortController()
        const reason = new Error('the caller had enough')
        const waiting = call({ signal: controller.signal })
        // After this the request is on its way.
        for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
        controller.abort(reason)
        assert.equal(await rejectionOf(() => orStuck(waiting, stuckAfterMs), name), reason)
      }
    },
  },
]

type Call = (options: CallOptions) => Promise<unknown>

/** Each call of the contract; `get` reads the whole body. The value is `null` for absence. */
function callsOn(store: ObjectStore, key: string, prefix: string): Readonly<Record<string, Call>> {
  return {
    get: async (options) => {
      const found = await store.get(key, options)
      return found === null ? null : collect(found.body)
    },
    head: (options) => store.head(key, options),
    list: async (options) => {
      let count = 0
      for await (const _ of store.list(prefix, options)) count += 1
      return count === 0 ? null : count
    },
    put: (options) => store.put(key, textBytes('new'), options),
    'put of a stream': (options) => store.put(key, inChunks(sampleBytes(100_000), 10_000), options),
    delete: async (options) => {
      await store.delete(key, options)
      return 'deleted'
    },
  }
}

async function assertAllReject(
  { troubled, key, secrets, stuckAfterMs }: CheckContext,
  codes: readonly ErrorCode[],
  only?: readonly string[],
): Promise<void> {
  for (const [name, call] of Object.entries(callsOn(troubled, key('a'), key('')))) {
    if (only !== undefined && !only.includes(name)) continue
    const error = await rejectionOf(() => orStuck(call({}), stuckAfterMs), name)
    assert.ok(WorkspaceError.is(error), `${name} rejected with no WorkspaceError: ${String(error)}`)
    assert.ok(codes.includes(error.code), `${name} is ${error.code}: ${error.message}`)
    // Also its causes, and what nobody looks at: who logs an error logs all of it.
    const text = `${JSON.stringify(error)}${inspect(error, { depth: 20, showHidden: true, getters: true })}`
    for (const secret of secrets) assert.ok(!text.includes(secret), `${name} repeats a secret in its error`)
  }
}
