import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { executeRun, Workspace } from '../../src/index.ts'
import { describeTree } from '../support/describe-tree.ts'
import { createRepository, git, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

function makeWorkspace(isRepository: boolean): Workspace {
  const directory = temporaryDirectory()
  const path = join(directory, 'work')
  const files = { 'a.txt': 'one\n', 'src/b.txt': 'two\n' }
  if (isRepository) createRepository(path, files)
  else {
    mkdirSync(path)
    writeFiles(path, files)
  }
  return new Workspace({ id: 'work', path, stateDir: join(directory, 'state') })
}

it('rolls a failed run back with the options that it was given, the repository too, and records what stays reachable', async () => {
  const workspace = makeWorkspace(true)
  const head = git(workspace.path, 'rev-parse', 'HEAD')
  const result = await executeRun(
    workspace,
    ({ path }) => {
      writeFileSync(join(path, 'a.txt'), 'agent\n')
      git(path, 'commit', '-q', '-a', '-m', 'by the agent')
      throw new Error('failed')
    },
    { rollbackOnFailure: { restoreGit: true } },
  )
  expect(result.workspace?.error).toBeUndefined()
  expect(git(workspace.path, 'rev-parse', 'HEAD')).toBe(head)
  expect(git(workspace.path, 'status', '--porcelain')).toBe('')
  const safetyRefs = result.workspace?.rollback?.git?.safetyRefs.map(({ name }) => name)
  expect(safetyRefs).toHaveLength(2)
  expect(result.record.workspace?.rollback).toMatchObject({ restored: 1, kept: 0, merged: 0, safetyRefs })
})

it('rolls back only the paths that it was given', async () => {
  const workspace = makeWorkspace(false)
  const result = await executeRun(
    workspace,
    ({ path }) => {
      for (const name of ['a.txt', 'src/b.txt']) writeFileSync(join(path, name), 'agent\n')
      throw new Error('failed')
    },
    { rollbackOnFailure: { paths: ['src'] } },
  )
  expect(result.workspace?.rollback).toMatchObject({ restored: ['src/b.txt'], verified: true, git: null })
})

it('refuses rollback options that cannot work, or that do not exist, before the agent runs', async () => {
  const workspace = makeWorkspace(false)
  const agent = () => {
    throw new Error('the agent ran')
  }
  await expect(
    executeRun(workspace, agent, { rollbackOnFailure: { restoreGit: true } }),
  ).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining('git') })
  const misspelt = { restoreGIT: true } as object
  await expect(executeRun(workspace, agent, { rollbackOnFailure: misspelt })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    details: { option: 'restoreGIT' },
  })
  const snapshot = await workspace.snapshot({ strategy: 'bundle' })
  await expect(workspace.rollback(snapshot, misspelt)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(workspace.rollback(snapshot, { restoreGit: true })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('bundle'),
  })
})

it.each([
  ['onForeignEdits', 'force'],
  ['paths', 'src'],
  ['paths', [7]],
  ['restoreGit', 'false'],
  ['dryRun', 1],
  ['expected', 'the last one'],
])('refuses rollback options whose values mean nothing: %s: %j', async (option, value) => {
  const workspace = makeWorkspace(false)
  const before = await workspace.snapshot({ strategy: 'bundle' })
  writeFileSync(join(workspace.path, 'a.txt'), 'agent\n')
  const state = describeTree(workspace.path)
  const bad = { [option]: value } as object
  const refusal = { code: 'INVALID_INPUT', details: { option } }
  await expect(workspace.rollback(before, bad)).rejects.toMatchObject(refusal)
  expect(describeTree(workspace.path)).toEqual(state)
  const agent = () => expect.unreachable('the agent ran')
  await expect(executeRun(workspace, agent, { rollbackOnFailure: bad })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    details: { option },
  })
})

it('refuses a rollbackOnFailure that is neither a flag nor options, and paths that lead out, before the agent runs', async () => {
  const workspace = makeWorkspace(false)
  const agent = () => expect.unreachable('the agent ran')
  for (const rollbackOnFailure of ['yes', null] as unknown as object[])
    await expect(executeRun(workspace, agent, { rollbackOnFailure })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  await expect(
    executeRun(workspace, agent, { rollbackOnFailure: { paths: ['../other'] } }),
  ).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
})

it.each(['removed', 'broken'])(
  'rolls the files back when the agent has %s the repository (case 82)',
  async (state) => {
    const workspace = makeWorkspace(true)
    const original = describeTree(workspace.path)
    const before = await workspace.snapshot()
    writeFileSync(join(workspace.path, 'a.txt'), 'lost\n')
    rmSync(join(workspace.path, state === 'removed' ? '.git' : '.git/HEAD'), { recursive: true })
    const later = new Workspace({ id: 'work', path: workspace.path, stateDir: workspace.stateDir })
    const result = await later.rollback(before, { restoreGit: true })
    expect(result).toMatchObject({ verified: true, restored: ['a.txt'] })
    expect(result.git?.notRestored).toMatchObject([{ part: 'repository' }])
    const withoutGit = (tree: Record<string, string>) =>
      Object.fromEntries(Object.entries(tree).filter(([name]) => !name.startsWith('.git')))
    expect(withoutGit(describeTree(workspace.path))).toEqual(withoutGit(original))
  },
)

it.each([{ maxFiles: 3 }, { maxDeltaBytes: 3000 }])(
  'rolls back what the limits left room for when the agent changed more, and leaves the rest: %j',
  async (limits) => {
    const directory = temporaryDirectory()
    const path = join(directory, 'work')
    const names = ['0', '1', '2', '3', '4', '5']
    createRepository(path, Object.fromEntries(names.map((name) => [name, 'old'])))
    const workspace = new Workspace({ id: 'work', path, stateDir: join(directory, 'state') })
    const changed = (name: string): string => 'x'.repeat(900 + Number(name))
    const result = await executeRun(
      workspace,
      () => {
        for (const name of names) writeFileSync(join(path, name), changed(name))
        throw new Error('failed')
      },
      { rollbackOnFailure: true, limits },
    )
    expect(result.workspace?.error).toBeUndefined()
    expect(result.workspace?.rollback).toMatchObject({
      restored: ['0', '1', '2'],
      verified: true,
    })
    expect(names.map((name) => readFileSync(join(path, name), 'utf8'))).toEqual([
      'old',
      'old',
      'old',
      ...['3', '4', '5'].map(changed),
    ])
  },
)
