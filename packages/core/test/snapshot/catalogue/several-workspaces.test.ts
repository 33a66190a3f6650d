import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Workspace } from '../../../src/index.ts'
import { describeTree, hashOf } from '../../support/describe-tree.ts'
import { createRepository, git, temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'

it('directories of one repository, and the repository, are workspaces of their own: nothing of one comes back in another (case 54)', async () => {
  const base = temporaryDirectory()
  const path = createRepository(join(base, 'work'), {
    'one/a.txt': 'a\n',
    'two/b.txt': 'b\n',
    'c.txt': 'c\n',
  })
  const stateDir = join(base, 'state')
  const [all, one, two] = ['', 'one', 'two'].map(
    (name) => new Workspace({ id: 'same', path: join(path, name), stateDir }),
  ) as [Workspace, Workspace, Workspace]
  const beforeOne = await one.snapshot()
  writeFiles(path, { 'two/b.txt': 'edited by two\n', 'c.txt': 'edited above\n' })
  const [beforeTwo, beforeAll] = [await two.snapshot(), await all.snapshot()]
  writeFiles(path, { 'one/a.txt': 'edited by one\n', 'one/made.txt': 'made\n', 'two/made.txt': 'made\n' })
  expect(await one.rollback(beforeOne)).toMatchObject({
    restored: ['a.txt'],
    deleted: ['made.txt'],
    verified: true,
  })
  expect(describeTree(path)).toMatchObject(
    Object.fromEntries(
      Object.entries({
        'one/a.txt': 'a\n',
        'two/b.txt': 'edited by two\n',
        'two/made.txt': 'made\n',
        'c.txt': 'edited above\n',
      }).map(([name, text]) => [name, `file 644 ${hashOf(text)}`]),
    ),
  )
  expect(await all.rollback(beforeAll)).toMatchObject({ restored: [], deleted: ['two/made.txt'] })
  expect(await two.rollback(beforeTwo)).toMatchObject({ restored: [], deleted: [], verified: true })
  // Each knows its own snapshots alone.
  await expect(two.rollback(beforeOne)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
})

it.each(['plain', 'repository'])(
  'a folder that holds several repositories is one workspace, and each of them keeps its .git (case 97): %s',
  async (kind) => {
    const base = temporaryDirectory()
    const path = join(base, 'work')
    if (kind === 'repository') createRepository(path, {})
    else mkdirSync(path)
    for (const name of ['one', 'two']) createRepository(join(path, name), { 'a.txt': `${name}\n` })
    writeFileSync(join(path, 'notes.txt'), 'notes\n')
    const workspace = new Workspace({ id: 'w', path, stateDir: join(base, 'state') })
    const strategy = kind === 'repository' ? 'git' : 'bundle'
    const original = describeTree(path, { skip: ['.git', 'one/.git', 'two/.git'] })
    const before = await workspace.snapshot({ strategy })
    writeFiles(path, { 'one/a.txt': 'agent\n', 'two/made.txt': 'agent\n', 'notes.txt': 'agent\n' })
    git(join(path, 'one'), 'commit', '-q', '-a', '-m', 'by the agent')
    const head = git(join(path, 'one'), 'rev-parse', 'HEAD')
    const after = await workspace.snapshot({ strategy, previous: before })
    expect((await workspace.diff(before, after)).changedPaths).toEqual([
      'notes.txt',
      'one/a.txt',
      'two/made.txt',
    ])
    expect(await workspace.rollback(before, { expected: after })).toMatchObject({ verified: true })
    expect(describeTree(path, { skip: ['.git', 'one/.git', 'two/.git'] })).toEqual(original)
    expect(git(join(path, 'one'), 'rev-parse', 'HEAD')).toBe(head)
  },
)
