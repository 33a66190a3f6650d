import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openBundleBackend } from '../../../src/snapshot/bundle/open-bundle-backend.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import { runUserGit } from '../git/git-fixture.ts'
import { createPlainFixture, writeFirstFiles, type PlainFixture } from '../plain-fixture.ts'

export { describeTree } from '../../support/describe-tree.ts'

/** The backends that can roll back. */
export const backends = ['git', 'bundle'] as const

export type BackendName = (typeof backends)[number]

export interface RollbackFixture extends PlainFixture {
  readonly open: () => Promise<SnapshotBackend>
}

/** A directory with `a.txt` and `src/b.txt`, for git with one commit of them; gone after the test. */
export function createRollbackFixture(name: BackendName): RollbackFixture {
  const fixture = createPlainFixture()
  const { path, stateDirectory } = fixture
  writeFirstFiles(fixture)
  if (name === 'git') {
    runUserGit(path, 'init', '-q', '-b', 'main')
    runUserGit(path, 'add', '-A')
    runUserGit(path, 'commit', '-q', '-m', 'first')
  }
  return { ...fixture, open: () => openRollbackBackend(name, path, stateDirectory) }
}

export async function openRollbackBackend(
  name: BackendName,
  path: string,
  stateDirectory: string,
): Promise<SnapshotBackend> {
  if (name === 'bundle') return openBundleBackend({ path, stateDirectory })
  const backend = await openGitBackend({ path, stateDirectory })
  if (backend === null) throw new Error(`${path} is no repository`)
  return backend
}

/** Removes all but the repository. */
export function emptyWorkspace(path: string): void {
  for (const name of readdirSync(path))
    if (name !== '.git') rmSync(join(path, name), { recursive: true, force: true })
}
