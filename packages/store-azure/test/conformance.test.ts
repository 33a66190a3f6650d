import { objectStoreChecks, runCheck } from '@ws/conformance'
import { afterAll, expect, describe, it } from 'vitest'
import { azureStore } from '../src/index.ts'
import { openTestContainer } from './open-test-container.ts'

const test = await openTestContainer()
afterAll(() => test.remove())
const open = () => azureStore({ container: test.container })

describe(`on ${test.service}`, () => {
  it('claims everything', () => {
    expect(open().capabilities).toEqual({
      createIfAbsent: 'atomic',
      replaceIfMatch: 'atomic',
      rangeReads: true,
      metadata: true,
      signedUrls: true,
      maxKeySegments: 254,
    })
  })

  for (const check of objectStoreChecks) {
    it(check.name, async () => {
      await runCheck(check, open())
    })
  }
})
