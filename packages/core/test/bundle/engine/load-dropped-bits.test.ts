import { chmodSync, linkSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { Workspace } from '../../../src/workspace/workspace.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'

it('lists the bits that it drops, of what is made anew and of what only gets its mode', async () => {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  writeFiles(path, { tool: '1', one: '2' })
  linkSync(join(path, 'one'), join(path, 'two'))
  mkdirSync(join(path, 'shared'))
  chmodSync(join(path, 'tool'), 0o4755)
  chmodSync(join(path, 'one'), 0o4755)
  chmodSync(join(path, 'shared'), 0o2775)
  chmodSync(path, 0o2775)
  const work = new Workspace({ id: 'work', path, store: memoryStore(), stateDir: join(base, 'state') })
  await work.save('one')
  const all = [
    { path: '.', reason: 'set-gid bit dropped' },
    { path: 'one', reason: 'set-uid bit dropped' },
    { path: 'shared', reason: 'set-gid bit dropped' },
    { path: 'tool', reason: 'set-uid bit dropped' },
    { path: 'two', reason: 'set-uid bit dropped' },
  ]
  const load = async (): Promise<unknown> =>
    (await work.load())?.report.changed.toSorted((left, right) => (left.path < right.path ? -1 : 1))
  for (const name of ['tool', 'one']) chmodSync(join(path, name), 0o644)
  for (const name of ['shared', '']) chmodSync(join(path, name), 0o700)
  expect(await load()).toEqual(all)
  expect(statSync(join(path, 'tool')).mode & 0o7777).toBe(0o755)
  rmSync(path, { recursive: true })
  expect(await load()).toEqual(all)
})
