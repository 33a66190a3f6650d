import { expect, it } from 'vitest'
import { recentlyUsed, type RecentlyUsedLimits } from '../src/recently-used.ts'

/** Which of some keys are left after these values were set, one after the other; a value is its weight. */
function left(
  limits: RecentlyUsedLimits<number>,
  ...entries: readonly (readonly [string, number])[]
): string {
  const kept = recentlyUsed({ weightOf: (value: number) => value, ...limits })
  for (const [key, value] of entries) kept.set(key, value)
  return ['a', 'b', 'c', 'd'].filter((key) => kept.has(key)).join('')
}

it('keeps so many, and lets go of the one that was set first', () => {
  expect(left({ most: 2 }, ['a', 1], ['b', 1], ['c', 1])).toBe('bc')
  expect(left({ most: 2 }, ['a', 1], ['b', 1], ['a', 1], ['c', 1])).toBe('ac')
})

it('keeps no more than weighs so much together, but the newest whatever it weighs', () => {
  const limits = { most: 8, mostWeight: 10 }
  expect(left(limits, ['a', 5], ['b', 5])).toBe('ab')
  expect(left(limits, ['a', 5], ['b', 5], ['c', 6])).toBe('c')
  expect(left(limits, ['a', 5], ['b', 3], ['c', 4])).toBe('bc')
  expect(left(limits, ['a', 1], ['b', 100])).toBe('b')
  expect(left(limits, ['a', 100], ['b', 1])).toBe('b')
  expect(left(limits, ['a', 9], ['a', 1], ['b', 9])).toBe('ab')
})

it('does not count what was deleted', () => {
  const kept = recentlyUsed({ most: 8, mostWeight: 10, weightOf: (value: number) => value })
  kept.set('a', 10)
  kept.delete('a')
  kept.delete('never there')
  kept.set('b', 5)
  kept.set('c', 5)
  expect([kept.get('a'), kept.get('b'), kept.get('c')]).toEqual([undefined, 5, 5])
})
