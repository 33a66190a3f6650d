import { describe, expect, it } from 'vitest'
import { killAtEveryStep } from './killed-at-every-step.ts'

describe('a bundle rollback that is killed', () => {
  it('at any of its steps is ended by the next call, which says how: the old state or the new one, nothing in between (case 56)', async () => {
    expect(await killAtEveryStep('bundle')).toContain('forward')
  }, 240_000)
})
