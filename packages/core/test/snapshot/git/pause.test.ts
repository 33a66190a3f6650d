import { afterEach, describe, expect, it, vi } from 'vitest'
import { pauser } from '../../../src/snapshot/git/table/pause.ts'

let nowMs = 0
vi.spyOn(performance, 'now').mockImplementation(() => nowMs)
afterEach(() => {
  nowMs = 0
})

describe('a pause', () => {
  it('comes once a slice of time is over, and the clock is looked at every so many rounds only', async () => {
    const pause = pauser()
    nowMs = 1000
    for (let round = 1; round < 32; round += 1) expect(pause()).toBeUndefined()
    const pausing = pause()
    expect(pausing).toBeInstanceOf(Promise)
    await pausing
    for (let round = 0; round < 100; round += 1) expect(pause()).toBeUndefined()
  })

  it('is not put off by rounds that are few and heavy', async () => {
    const pause = pauser()
    for (let round = 0; round < 5; round += 1) {
      nowMs += 200
      const pausing = pause(1500)
      expect(pausing).toBeInstanceOf(Promise)
      await pausing
    }
  })

  it('is where an abort takes effect, and tells how many rounds there were', async () => {
    const aborting = new AbortController()
    const told: number[] = []
    const pause = pauser(aborting.signal, (rounds) => told.push(rounds))
    nowMs = 100
    await pause(40)
    nowMs = 200
    aborting.abort(new Error('enough'))
    expect(() => pause(40)).toThrow('enough')
    expect(told).toEqual([40])
  })
})
