import { objectStoreChecks, runCheck } from '@ws/conformance'
import { expect, it } from 'vitest'
import { memoryStore } from '../src/index.ts'

it('claims everything but signed URLs', () => {
  expect(memoryStore().capabilities).toEqual({
    createIfAbsent: 'atomic',
    replaceIfMatch: 'atomic',
    rangeReads: true,
    metadata: true,
    signedUrls: false,
    volatile: true,
  })
})

for (const check of objectStoreChecks) {
  it(check.name, async () => {
    await runCheck(check, memoryStore())
  })
}
