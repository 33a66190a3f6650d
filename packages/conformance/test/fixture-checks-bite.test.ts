import { WorkspaceError, type ErrorCode, type ObjectStore, type StoredObject } from '@ws/core'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import {
  checksFor,
  fixtureChecks,
  runCheck,
  runChecks,
  type FixtureName,
  type StoreFixtures,
} from '../src/index.ts'
import { broken, gather, streamOf } from './broken-stores.ts'

const MIB = 1_048_576
const store = memoryStore()
const never = new Promise<never>(() => {})

function replacing(replace: Partial<ObjectStore>): ObjectStore {
  return { ...store, ...replace }
}

/** Rejects every call with this code. */
function failing(code: ErrorCode, message = 'The service says no.', request?: object): ObjectStore {
  const cause = Object.assign(new Error('403'), { request })
  const fail = async (): Promise<never> => Promise.reject(new WorkspaceError(code, message, { cause }))
  return replacing({
    get: fail,
    head: fail,
    put: fail,
    delete: fail,
    async *list() {
      yield await fail()
    },
  })
}

const stalledUntilAbort = (signal: AbortSignal | undefined): Promise<never> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))

const stalling = replacing({
  get: (_, options) => stalledUntilAbort(options?.signal),
  head: (_, options) => stalledUntilAbort(options?.signal),
  put: (_, __, options) => stalledUntilAbort(options?.signal),
  delete: (_, options) => stalledUntilAbort(options?.signal),
  async *list(_, options) {
    yield await stalledUntilAbort(options?.signal)
  },
})

const denied = failing('ACCESS_DENIED')
const readOnly = replacing({
  put: (key, body) => denied.put(key, body),
  delete: (key) => denied.delete(key),
})

function gettingAs(
  change: (found: StoredObject, signal?: AbortSignal) => AsyncIterable<Uint8Array>,
): ObjectStore {
  return replacing({
    get: async (key, options) => {
      const found = await store.get(key, options)
      return found && { ...found, body: change(found, options?.signal) }
    },
  })
}

async function* first(found: StoredObject, then: () => Promise<void>): AsyncGenerator<Uint8Array> {
  for await (const chunk of found.body) {
    yield chunk
    await then()
  }
}

const failNow = (code: ErrorCode) => async (): Promise<void> => {
  throw new WorkspaceError(code, 'Broken.')
}

/** What a sound adapter does in each trouble. */
const sound: Required<{ readonly [Name in FixtureName]: ObjectStore }> = {
  missingBucket: failing('NOT_FOUND'),
  wrongCredentials: failing('ACCESS_DENIED'),
  readOnlyCredentials: readOnly,
  outage: failing('UNAVAILABLE'),
  throttled: failing('UNAVAILABLE'),
  captivePortal: failing('UNAVAILABLE'),
  clockSkew: failing('ACCESS_DENIED'),
  stalled: stalling,
  stalledDownloads: gettingAs((found, signal) => first(found, () => stalledUntilAbort(signal))),
  cutUploads: failing('UNAVAILABLE'),
  cutDownloads: gettingAs((found) => first(found, failNow('UNAVAILABLE'))),
  shortDownloads: gettingAs((found) => first(found, failNow('UNAVAILABLE'))),
  damagedUploads: failing('UNAVAILABLE'),
  damagedDownloads: gettingAs((found) => first(found, failNow('CORRUPT'))),
}

/** For each fixture the mistake that adapters make there. */
const mistaken: Required<{ readonly [Name in FixtureName]: ObjectStore }> = {
  // A 404 is a 404.
  missingBucket: { ...failing('NOT_FOUND'), head: async () => null },
  // Its message is clean; what hangs on its cause is not.
  wrongCredentials: failing('ACCESS_DENIED', 'Access denied.', { headers: { authorization: 'hunter2' } }),
  readOnlyCredentials: { ...readOnly, delete: async () => undefined },
  outage: { ...failing('UNAVAILABLE'), async *list() {} },
  throttled: failing('QUOTA_EXCEEDED'),
  captivePortal: gettingAs(() => streamOf(Buffer.from('<html>'))),
  clockSkew: { ...failing('ACCESS_DENIED'), get: async () => null },
  // Looks at the signal only when it begins.
  stalled: { ...stalling, head: () => never },
  stalledDownloads: gettingAs((found) => first(found, () => never)),
  cutUploads: replacing({
    put: async (key, body) => {
      const bytes = await gather(body)
      await store.put(key, bytes.subarray(0, MIB))
      throw new WorkspaceError('UNAVAILABLE', 'The connection was reset.')
    },
  }),
  // Takes the end of the connection for the end of the body.
  cutDownloads: gettingAs((found) => endingEarly(found)),
  shortDownloads: gettingAs((found) => endingEarly(found)),
  damagedUploads: replacing({ put: (key, body, options) => store.put(key, body, options) }),
  damagedDownloads: gettingAs((found) => found.body),
}

async function* endingEarly(found: StoredObject): AsyncGenerator<Uint8Array> {
  for await (const chunk of found.body) {
    yield chunk
    return
  }
}

const asFixtures = (stores: Readonly<Record<FixtureName, ObjectStore>>): StoreFixtures =>
  Object.fromEntries(Object.entries(stores).map(([name, troubled]) => [name, () => troubled]))

describe('each check of a fixture passes on a sound store and fails on its mistake', () => {
  for (const check of fixtureChecks)
    it(check.name, async () => {
      const secrets = ['hunter2']
      await runCheck(check, store, { fixtures: asFixtures(sound), secrets })
      // What never ends need not be waited for long.
      const inMistake = { fixtures: asFixtures(mistaken), secrets, stuckAfterMs: 50 }
      await expect(runCheck(check, store, inMistake)).rejects.toThrow()
    })
})

it('every fixture has a check', () => {
  expect(new Set(fixtureChecks.map(({ fixture }) => fixture))).toEqual(new Set(Object.keys(sound)))
})

it('a fixture that is not given is not shown, and never passed', async () => {
  const fixtures = { outage: () => sound.outage }
  const report = await runChecks(() => store, { checks: fixtureChecks, fixtures })
  expect(report).toMatchObject({ passed: 1, failed: 0, skipped: 0, notShown: fixtureChecks.length - 1 })
  const [check] = fixtureChecks
  await expect(runCheck(check ?? expect.fail(), store)).rejects.toThrow('needs the fixture missingBucket')
  expect(checksFor(store, fixtures).filter(({ fixture }) => fixture !== undefined)).toHaveLength(1)
})

it('reports what was measured', async () => {
  const report = await runChecks(broken(() => ({})))
  const streamed = report.results.find(({ name }) => name.includes('200 MiB'))
  expect(streamed?.measured).toEqual({
    streamedBytes: expect.any(Number),
    readAheadBytes: expect.any(Number),
    addedMemoryBytes: expect.any(Number),
  })
})
