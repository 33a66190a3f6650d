import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { executeRun, Workspace } from '../../../src/index.ts'
import { createRepository, git, temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { describeTree } from '../../support/describe-tree.ts'

it('rolls back in the run and afterwards what an agent did that made the repository anew in another object format, and compares', async () => {
  const base = temporaryDirectory()
  const path = createRepository(join(base, 'work'), { '.gitignore': 'ignored\n' })
  const makeAnew = (format: string): void => {
    rmSync(join(path, '.git'), { recursive: true })
    git(path, 'init', '-q', `--object-format=${format}`)
    git(path, 'add', '.')
    git(path, 'commit', '-q', '-m', format)
    git(path, 'gc', '-q')
  }
  writeFiles(path, { 'a.txt': 'one\n', ignored: 'secret' })
  makeAnew('sha1')
  const original = describeTree(path)
  const workspace = new Workspace({ id: 'w', path, stateDir: join(base, 'state') })
  const first = await workspace.snapshot()

  const { workspace: seen, record } = await executeRun(
    workspace,
    () => {
      writeFiles(path, { 'a.txt': 'two\n', 'made.txt': 'made' })
      makeAnew('sha256')
      throw new Error('given up')
    },
    { rollbackOnFailure: true },
  )
  expect([seen?.error, record.warnings]).toEqual([undefined, []])
  expect(seen?.diff?.changedPaths).toEqual(['a.txt', 'made.txt'])
  expect(describeTree(path)).toEqual(original)

  writeFiles(path, { 'a.txt': 'three\n' })
  expect((await workspace.diff(first)).changedPaths).toEqual(['a.txt'])
  expect((await workspace.rollback(first)).verified).toBe(true)
  expect(readFileSync(join(path, 'a.txt'), 'utf8')).toBe('one\n')
  const now = await workspace.snapshot()
  expect((await workspace.rollback(now)).verified).toBe(true)
  await expect(workspace.diff(first, now)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('another object format') as string,
  })
})
