import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { createArtifactStore, executeRun, Workspace } from '../../src/index.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

function trapped(property: 'message' | 'name'): Error {
  return Object.defineProperty(new Error('unseen'), property, {
    get: () => {
      throw new Error('trap')
    },
  })
}

const revoked = Proxy.revocable({}, {})
revoked.revoke()
const thrown: readonly [name: string, value: unknown][] = [
  ['nothing', undefined],
  ['a text', 'text'],
  ['a text without end', 'text'.repeat(5_000)],
  ['an error without end', new Error('text'.repeat(5_000))],
  ['a symbol', Symbol('thrown')],
  ['a number that JSON has none of', 10n],
  ['an error whose message cannot be read', trapped('message')],
  ['an error whose name cannot be read', trapped('name')],
  ['an error whose message is no text', Object.assign(new Error('x'), { message: { text: 1 } })],
  [
    'a proxy that throws',
    new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap')
        },
      },
    ),
  ],
  ['a proxy that is revoked', revoked.proxy],
]

it.each(thrown)('an agent that throws %s has failed, is recorded and rolled back', async (_, value) => {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  mkdirSync(path)
  const file = join(path, 'a.txt')
  writeFileSync(file, 'one')
  const workspace = new Workspace({ id: 'work', path, stateDir: join(base, 'state') })
  const result = await executeRun(
    workspace,
    () => {
      writeFileSync(file, 'two')
      throw value
    },
    { strategy: 'bundle', rollbackOnFailure: true },
  )
  expect(result.status).toBe('failed')
  expect(Object.is((result as { error: unknown }).error, value)).toBe(true)
  const { error } = JSON.parse(JSON.stringify(result.record)) as typeof result.record
  expect([typeof error?.name, typeof error?.message]).toEqual(['string', 'string'])
  expect(error?.message.length).toBeLessThanOrEqual(2_000)
  expect(result.workspace?.rollback?.verified).toBe(true)
  expect(readFileSync(file, 'utf8')).toBe('one')
})

it.each(thrown)('a listener and an artifact store that throw %s end no run', async (_, value) => {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  mkdirSync(path)
  const workspace = new Workspace({ id: 'work', path, stateDir: join(base, 'state') })
  const throwing = (): never => {
    throw value
  }
  const result = await executeRun(workspace, () => writeFileSync(join(path, 'a.txt'), 'one'), {
    strategy: 'bundle',
    onEvent: throwing,
    onProgress: throwing,
    artifactStore: {
      ...createArtifactStore(memoryStore()),
      put: async () => throwing(),
    },
  })
  expect(result).toMatchObject({ status: 'completed', workspace: { error: { code: 'INTERNAL' } } })
  expect(result.record.warnings[0]).toMatch(/^The listener for events threw at run_started: /)
})
