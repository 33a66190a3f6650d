import { WorkspaceError, requestRetries } from '@ws/core'
import { describe, expect, it } from 'vitest'

const pauses: number[] = []
const sleep = async (milliseconds: number): Promise<void> => void pauses.push(milliseconds)

function failing(times: number, error: unknown): { send: () => Promise<string>; calls: () => number } {
  let calls = 0
  return {
    calls: () => calls,
    send: async () => {
      calls += 1
      if (calls <= times) throw error
      return 'sent'
    },
  }
}

const outage = new WorkspaceError('UNAVAILABLE', 'an outage')

describe('a request that is repeated', () => {
  it('is sent again after pauses that grow up to a limit, half of them at random', async () => {
    pauses.length = 0
    const retries = requestRetries({ attempts: 5, firstDelayMs: 100, maxDelayMs: 300, random: () => 1, sleep })
    expect(await retries.repeat(failing(4, outage).send, undefined)).toBe('sent')
    expect(pauses).toEqual([100, 200, 300, 300])
    pauses.length = 0
    await requestRetries({ firstDelayMs: 100, random: () => 0, sleep }).repeat(failing(1, outage).send, undefined)
    expect(pauses).toEqual([50])
  }) // prettier-ignore

  it('waits no less than the service asks for', async () => {
    pauses.length = 0
    const busy = new WorkspaceError('UNAVAILABLE', 'busy', { details: { retryAfterMs: 2_000 } })
    await requestRetries({ sleep }).repeat(failing(1, busy).send, undefined)
    expect(pauses).toEqual([2_000])
  })

  it('is given up after so many attempts, and at once where a repetition cannot help', async () => {
    const retries = requestRetries({ attempts: 3, sleep })
    const down = failing(9, outage)
    await expect(retries.repeat(down.send, undefined)).rejects.toBe(outage)
    expect(down.calls()).toBe(3)
    for (const error of [new WorkspaceError('ACCESS_DENIED', 'denied'), new Error('a defect')]) {
      const refused = failing(9, error)
      await expect(retries.repeat(refused.send, undefined)).rejects.toBe(error)
      expect(refused.calls()).toBe(1)
    }
    const lost = failing(9, outage)
    await expect(retries.repeat(lost.send, undefined, () => false)).rejects.toBe(outage)
    expect(lost.calls()).toBe(1)
  })

  it('rejects with the reason of its signal, also in a pause that takes long', async () => {
    const reason = new Error('enough')
    const aborted = AbortSignal.abort(reason)
    await expect(requestRetries({ sleep }).repeat(failing(9, outage).send, aborted)).rejects.toBe(reason)
    const controller = new AbortController()
    const waiting = requestRetries({ firstDelayMs: 3_600_000, maxDelayMs: 3_600_000 })
    const call = waiting.repeat(failing(9, outage).send, controller.signal)
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort(reason)
    await expect(call).rejects.toBe(reason)
  })
})
