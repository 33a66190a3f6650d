import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import {
  backends,
  createRollbackFixture,
  describeTree,
  type BackendName,
} from '../rollback/rollback-fixture.ts'

const fixtureFile = new URL('../rollback/rollback-fixture.ts', import.meta.url).href

/** @returns what a process of its own says, which does a piece of work with the backend */
async function inProcess(
  name: BackendName,
  { path, stateDirectory }: { readonly path: string; readonly stateDirectory: string },
  work: string,
): Promise<unknown> {
  const source = `
    const { openRollbackBackend } = await import(${JSON.stringify(fixtureFile)})
    const backend = await openRollbackBackend(...${JSON.stringify([name, path, stateDirectory])})
    process.stdout.write(JSON.stringify(await (${work})))`
  const child = spawn(process.execPath, ['--conditions=@ws/source', '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [output, errors] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(errors)
  return JSON.parse(output)
}

it.each(backends)(
  'eight processes that capture and roll back one workspace by %s at once all succeed, one after the other (case 75)',
  async (name) => {
    const fixture = createRollbackFixture(name)
    const { path, write, open } = fixture
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(path)
    for (let number = 0; number < 20; number += 1) write(`made/${number}`, `by the agent ${number}`)
    write('a.txt', 'agent\n')
    const after = await backend.capture({ label: 'after', previous: before })
    const rollback = `backend.rollback(${JSON.stringify(before)})`
    const capture = `backend.capture({ label: 'x' })`
    const results = await Promise.all(
      [rollback, capture, rollback, capture, rollback, capture, rollback, capture].map((work) =>
        inProcess(name, fixture, work),
      ),
    )
    const rollbacks = results.filter((_, at) => at % 2 === 0) as { restored: string[]; guard: Snapshot }[]
    for (const result of rollbacks) expect(result).toMatchObject({ verified: true, recovery: null })
    // One of them did it, from the agent's state; the others found nothing left to do. No capture saw half of it.
    expect(rollbacks.flatMap(({ restored }) => restored)).toEqual(['a.txt'])
    const seen = results.map((result) =>
      'guard' in Object(result) ? (result as { guard: Snapshot }).guard : result,
    )
    for (const { ref } of seen as Snapshot[]) expect([before.ref, after.ref]).toContain(ref)
    expect(describeTree(path)).toEqual(original)
  },
)
