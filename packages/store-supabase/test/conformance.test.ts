import { checksFor, runCheck } from '@ws/conformance'
import { withRetry } from '@ws/core'
import { afterAll, describe, expect, it } from 'vitest'
import { storageFetch, supabaseStore } from '../src/index.ts'
import { keys, openTestStorage, storageClient } from './open-test-storage.ts'

const test = await openTestStorage()
afterAll(() => test.stop())
const { client, bucket } = test
const open = () => supabaseStore({ client, bucket })

describe(`on ${test.service}`, () => {
  it('claims no more than the service keeps', () => {
    expect(open().capabilities).toEqual({
      createIfAbsent: 'checked',
      replaceIfMatch: 'checked',
      rangeReads: true,
      metadata: true,
      signedUrls: true,
      remote: true,
      checksummedUploads: false,
      maxKeyBytes: 450,
    })
  })

  for (const check of checksFor(open()))
    it(check.name, async () => {
      await runCheck(check, open())
    })

  describe('below a prefix, with retries, by storageFetch', () => {
    const key = process.env['WS_TEST_SUPABASE_KEY'] ?? keys.service
    const direct = storageClient(test.url, key, storageFetch)
    // Thousands of requests and hundreds of megabytes again would show nothing new.
    for (const check of checksFor(open()).filter(({ name }) => !/200 MiB|2,500 keys|many parts/.test(name)))
      it(check.name, async () => {
        await runCheck(check, withRetry(supabaseStore({ client: direct, bucket, prefix: 'some/prefix' })))
      })
  })
})
