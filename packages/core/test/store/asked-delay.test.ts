import { askedDelay } from '@ws/core'
import { expect, it } from 'vitest'

const noon = 'Wed, 25 Nov 2026 12:00:00 GMT'
const asked = (headers: Readonly<Record<string, string>>) => askedDelay((name) => headers[name])

it.each([
  ['0', 0],
  ['7', 7_000],
  ['Wed, 25 Nov 2026 12:00:07 GMT', 7_000],
  ['Wed, 25 Nov 2026 13:00:00 GMT', 3_600_000],
  ['Wed, 25 Nov 2026 11:59:00 GMT', 0],
])('a delay of %s is one of %d ms by the clock of the service', (delay, retryAfterMs) => {
  expect(asked({ date: noon, 'retry-after': delay })).toEqual({ retryAfterMs })
})

it('a time is measured from now where the answer tells none', () => {
  const later = new Date(Date.now() + 3_600_000).toUTCString()
  for (const date of [{}, { date: 'yesterday' }]) {
    const { retryAfterMs = 0 } = asked({ ...date, 'retry-after': later })
    expect(retryAfterMs).toBeGreaterThan(0)
    expect(retryAfterMs).toBeLessThanOrEqual(3_600_000)
  }
})

it.each(['', ' ', '-1', '1.5', 'soon', '1e9', '99999999999', 'Wed, 25 Nov 9999 12:00:00 GMT', '2026-11-25T12:00:07Z', 'Xxx, 99 Xxx 2026 99:99:99 GMT'])(
  'what is no delay, or an absurd one, is none: "%s"',
  (delay) => {
    expect(asked({ date: noon, 'retry-after': delay })).toEqual({})
  },
) // prettier-ignore
