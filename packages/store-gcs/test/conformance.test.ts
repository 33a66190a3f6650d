import { objectStoreChecks, runCheck } from '@ws/conformance'
import { withRetry } from '@ws/core'
import { afterAll, describe, expect, it } from 'vitest'
import { gcsStore } from '../src/index.ts'
import { openTestBucket } from './open-test-bucket.ts'

const test = await openTestBucket()
afterAll(() => test.close())
const open = () => gcsStore({ bucket: test.bucket })

describe(`on ${test.service}`, () => {
  it('claims everything', () => {
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
    it(check.name, async () => {
      await runCheck(check, open())
    })

  describe('below a prefix, with retries', () => {
    // Thousands of requests and hundreds of megabytes again would show nothing new.
    for (const check of objectStoreChecks.filter(({ name }) => !/200 MiB|2,500 keys|many parts/.test(name)))
      it(check.name, async () => {
        await runCheck(check, withRetry(gcsStore({ bucket: test.bucket, prefix: 'some/prefix' })))
      })
  })
})
