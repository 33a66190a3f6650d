import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { idlePool } from '../../src/bundle/idle-pool.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('lends what came last, each thing once', () => {
  const pool = idlePool<string>({ maxItems: 3 })
  expect(pool.take()).toBeUndefined()
  pool.give('one')
  pool.give('two')
  expect([pool.take(), pool.take(), pool.take()]).toEqual(['two', 'one', undefined])
})

it('discards what is too much, and all the rest a minute after the last one came', () => {
  const discarded: string[] = []
  const pool = idlePool<string>({ maxItems: 2, discard: (item) => discarded.push(item) })
  for (const item of ['one', 'two', 'three']) pool.give(item)
  expect(discarded).toEqual(['three'])
  vi.advanceTimersByTime(59_000)
  expect(pool.take()).toBe('two')
  pool.give('two')
  vi.advanceTimersByTime(59_000)
  expect(discarded).toEqual(['three'])
  vi.advanceTimersByTime(1000)
  expect(discarded).toEqual(['three', 'one', 'two'])
  expect(pool.take()).toBeUndefined()
})

it('keeps no process alive', () => {
  vi.useRealTimers()
  const before = timers()
  idlePool<string>({ maxItems: 1 }).give('one')
  expect(timers()).toBe(before)
})

/** That the event loop waits for. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
}
