import { chmodSync, existsSync, lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Workspace } from '../../src/workspace/workspace.ts'
import { describeTree } from '../support/describe-tree.ts'
import { createRepository, temporaryDirectory } from '../support/temporary-directory.ts'

describe.each(['git', 'bundle'] as const)(
  'a workspace that was removed, with the strategy %s',
  (strategy) => {
    async function removed() {
      const base = temporaryDirectory()
      const path = createRepository(join(base, 'work'), { 'a.txt': 'a\n', 'sub/b.txt': 'b\n' })
      chmodSync(path, 0o750)
      const tree = describeTree(path)
      const workspace = new Workspace({ id: 'work', path, stateDir: join(base, 'state') })
      const before = await workspace.snapshot({ strategy })
      rmSync(path, { recursive: true })
      return { base, path, tree, workspace, before }
    }

    it('is made anew by a rollback, with its permissions, also by another process (case 82)', async () => {
      const { base, path, tree, before } = await removed()
      const workspace = new Workspace({ id: 'work', path, stateDir: join(base, 'state') })
      const { guard, verified } = await workspace.rollback(before)
      expect(verified).toBe(true)
      expect(describeTree(path)).toEqual(tree)
      expect(lstatSync(path).mode & 0o777).toBe(0o750)
      if (guard !== null) await workspace.rollback(guard)
      expect(readdirSync(path)).toEqual([])
    })

    it('is not made where nothing comes back: in a dry run, by a failure, for a snapshot of another directory', async () => {
      const { base, path, workspace, before } = await removed()
      const { restored } = await workspace.rollback(before, { dryRun: true })
      expect(restored).toContain('sub/b.txt')
      await expect(workspace.rollback({ ...before, ref: 'f'.repeat(before.ref.length) })).rejects.toThrow()
      const other = new Workspace({ id: 'other', path: join(base, 'other'), stateDir: join(base, 'state') })
      await expect(other.rollback(before)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(existsSync(path)).toBe(false)
      expect(existsSync(other.path)).toBe(false)
    })
  },
)
