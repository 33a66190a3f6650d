import { expect, it } from 'vitest'
import { isSettled } from '../../../src/snapshot/git/file-stamp.ts'

const second = 1_000_000_000n

it('trusts no stamp that a later change could share: within a clock tick, or two seconds where stamps are whole', () => {
  const fine = { ctimeNs: 100n * second + 5n }
  expect(isSettled(fine, fine.ctimeNs)).toBe(false)
  expect(isSettled(fine, fine.ctimeNs + 10_000_000n)).toBe(false)
  expect(isSettled(fine, fine.ctimeNs + second)).toBe(true)
  expect(isSettled(fine, fine.ctimeNs - second)).toBe(false)
  const coarse = { ctimeNs: 100n * second }
  expect(isSettled(coarse, coarse.ctimeNs + 2n * second)).toBe(false)
  expect(isSettled(coarse, coarse.ctimeNs + 3n * second)).toBe(true)
})
