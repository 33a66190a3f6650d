import { afterEach, expect, it, vi } from 'vitest'
import { quoteKey } from '../../src/store/call-failure.ts'
import { fromEnvironment } from '../../src/store/store-options.ts'

afterEach(() => vi.unstubAllEnvs())

it('an environment variable that is set to nothing does not hide the next one', () => {
  vi.stubEnv('WS_TEST_FIRST', '')
  vi.stubEnv('WS_TEST_SECOND', 'second')
  vi.stubEnv('WS_TEST_THIRD', 'third')
  expect(fromEnvironment('WS_TEST_UNSET', 'WS_TEST_FIRST', 'WS_TEST_SECOND', 'WS_TEST_THIRD')).toBe('second')
  expect(fromEnvironment('WS_TEST_UNSET', 'WS_TEST_FIRST')).toBeUndefined()
})

it('a key is shown quoted and cut, and the prefix of everything in words', () => {
  expect([quoteKey('a"b'), quoteKey('')]).toEqual(['"a\\"b"', 'all keys'])
  expect(quoteKey('x'.repeat(10_000)).length).toBeLessThan(1000)
})
