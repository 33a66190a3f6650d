import { objectStoreChecks, runCheck, type StoreCheck } from '@ws/conformance'
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
      remote: true,
      maxKeySegments: 254,
    })
  })

  // Deleting from a large container takes azurite half a minute, so the check that fills one is the last.
  const isFilling = (check: StoreCheck): boolean => check.name.includes('2,500 keys')
  for (const check of objectStoreChecks.toSorted((a, b) => Number(isFilling(a)) - Number(isFilling(b)))) {
    it(check.name, async () => {
      await runCheck(check, open(), { keepObjects: isFilling(check) })
    })
  }
})
