import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { backends, createRollbackFixture, describeTree } from './rollback-fixture.ts'

it.each(backends)(
  'a rollback by %s whose proof fails for a file that somebody keeps writing to is undone everywhere else (case 56)',
  async (name) => {
    const { open, path, stateDirectory, outside, write } = createRollbackFixture(name)
    for (let number = 0; number < 9; number += 1) write(`many/${number}`, `${number}\n`)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (let number = 0; number < 9; number += 1) write(`many/${number}`, 'agent')
    for (const made of ['a.txt', 'made.txt']) write(made, 'agent')
    const { 'a.txt': _file, ...others } = describeTree(path)
    const script = fileURLToPath(new URL('restless-rollback.ts', import.meta.url))
    const parameters = [name, path, stateDirectory, JSON.stringify(before), join(outside, 'go')]
    const child = spawnSync(process.execPath, ['--conditions=@ws/source', script, ...parameters], {
      encoding: 'utf8',
    })
    expect(child.stderr).toBe('')
    expect(JSON.parse(child.stdout)).toMatchObject({ code: 'CONFLICT', details: { paths: ['a.txt'] } })
    expect(describeTree(path)).toMatchObject(others)
    expect((await backend.rollback(before)).verified).toBe(true)
  },
)
