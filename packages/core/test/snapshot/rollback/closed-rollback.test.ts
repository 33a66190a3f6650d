import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { buildScript } from '../../support/build-script.ts'
import { plainUserDirectory, runAsPlainUser } from '../../support/plain-user.ts'
import { closedStates } from './closed-states.ts'
import { backends } from './rollback-fixture.ts'

const script = fileURLToPath(new URL('closed-rollback.ts', import.meta.url))
const killed = fileURLToPath(new URL('killed-closed-rollback.ts', import.meta.url))
const child = fileURLToPath(new URL('killed-rollback.ts', import.meta.url))

describe.each(backends)('a %s rollback by a user without privileges', (name) => {
  it('undoes what an agent has closed to its owner, and brings it back when that is undone (case 21)', async () => {
    const outputs = JSON.parse(await runAsPlainUser(script, [name, plainUserDirectory()]))
    expect(Object.keys(outputs)).toEqual(Object.keys(closedStates))
    for (const state of Object.keys(closedStates)) {
      const { original, spoilt, steps, verified, repositories, trees, changedInBetween, guards } =
        outputs[state]
      expect(spoilt, state).not.toEqual(original)
      const expected = { previewed: spoilt, undone: original, redone: spoilt, end: original }
      expect(trees, state).toEqual(expected)
      expect(verified, state).toEqual([true, true, true])
      expect(steps[0], state).toEqual(steps[1])
      expect(repositories[1], state).toEqual(repositories[0])
      expect(changedInBetween, state).toEqual([])
      const [before, guard] = guards
      expect(guards, state).toEqual([before, guard, before, guard])
    }
  })

  it('that is killed on its way leaves nothing open that was closed, and is ended by the next call', async () => {
    const output = await runAsPlainUser(killed, [name, plainUserDirectory(), await buildScript(child)])
    const { steps, ends, undone, spoilt } = JSON.parse(output)
    expect(undone).not.toEqual(spoilt)
    expect(ends.length).toBeGreaterThan(steps / 5)
    for (const { step, state, told } of ends) {
      const expected = { nothing: ['spoilt', 'undone'], forward: ['undone'], back: ['spoilt'] }
      expect(expected[told as keyof typeof expected], `killed before step ${step}`).toContainEqual(state)
    }
    expect(new Set(ends.map(({ told }: { told: string }) => told))).toContain('forward')
  }, 240_000)
})
