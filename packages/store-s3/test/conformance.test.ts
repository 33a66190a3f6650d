import { fixtureChecks, objectStoreChecks, runCheck, type StoreCheck } from '@ws/conformance'
import { withRetry, type ObjectStore } from '@ws/core'
import { realS3Server, startFauxqs, startR2Server, type S3TestServer } from '@ws/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { S3Store } from '../src/index.ts'
import { withoutLineSeparators } from './local-r2.ts'
import { WRONG_SECRET, openFixtures } from './open-fixtures.ts'
import { storeOn } from './open-servers.ts'

/** Opens one server for a group of tests, and lets the probe find out what it can do. */
function onServer(start: () => Promise<S3TestServer>): { open: () => S3Store; server: () => S3TestServer } {
  let server: S3TestServer
  let store: S3Store
  beforeAll(async () => {
    server = await start()
    process.stdout.write(`store-s3: the tests below run against ${server.name}\n`)
    store = storeOn(server)
    await store.probe()
  })
  afterAll(() => server.stop())
  return { open: () => store, server: () => server }
}

describe('R2', () => {
  const { open, server } = onServer(startR2Server)
  it('is found to keep everything', () => {
    expect(open().capabilities).toEqual({
      createIfAbsent: 'atomic',
      replaceIfMatch: 'atomic',
      rangeReads: true,
      metadata: true,
      signedUrls: true,
      remote: true,
    })
  })
  for (const check of objectStoreChecks)
    it(check.name, () =>
      runCheck(check, withoutLineSeparators(open()), { keepObjects: needsManyPages(check) }),
    )
  describe('in trouble', () => {
    let trouble: Awaited<ReturnType<typeof openFixtures>>
    beforeAll(async () => {
      trouble = await openFixtures(server())
    })
    afterAll(() => trouble.stop())
    for (const check of fixtureChecks)
      it(check.name, () => runCheck(check, open(), { fixtures: trouble.fixtures, secrets: [WRONG_SECRET] }))
  })
  describe('below withRetry', () => {
    // Thousands of requests, or hundreds of megabytes, would show nothing new.
    const isLong = (check: StoreCheck): boolean => needsManyPages(check) || check.name.includes('200 MiB')
    for (const check of objectStoreChecks.filter((each) => !isLong(each)))
      it(check.name, () => runCheck(check, withoutLineSeparators(withRetry(open()))))
  })
})

describe('fauxqs', () => {
  const { open } = onServer(startFauxqs)
  it('is found to ignore conditions, which are then looked at before each put', () => {
    expect(open().capabilities).toMatchObject({ createIfAbsent: 'checked', replaceIfMatch: 'checked' })
  })
  for (const check of objectStoreChecks) {
    if (needsManyPages(check))
      it(`cannot keep "${check.name}", and says so`, async () => {
        await expect(runCheck(check, open(), { keepObjects: true })).rejects.toMatchObject({
          code: 'UNSUPPORTED',
          message: expect.stringContaining("does not list by the keys' bytes") as string,
        })
      })
    else if (check.needs?.endsWith(': atomic') !== true) it(check.name, () => runCheck(check, open()))
  }
})

const real = realS3Server()
if (real !== null)
  describe(real.name, () => {
    const { open } = onServer(async () => real)
    for (const check of objectStoreChecks)
      it(check.name, ({ skip }) => {
        const store: ObjectStore = open()
        if (check.needs?.endsWith(': atomic') === true && store.capabilities.createIfAbsent !== 'atomic')
          skip()
        return runCheck(check, store)
      })
  })

/** fauxqs sorts as a dictionary does and pages by UTF-16, so that keys fall between its pages. */
function needsManyPages({ name }: StoreCheck): boolean {
  return /^more than [\d,]+ keys/.test(name)
}
