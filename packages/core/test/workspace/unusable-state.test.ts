import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { WorkspaceError } from '../../src/errors.ts'
import { backupSession } from '../../src/workspace/session.ts'
import { Workspace } from '../../src/workspace/workspace.ts'
import { createRepository, temporaryDirectory } from '../support/temporary-directory.ts'

function workspaceWithState() {
  const base = temporaryDirectory()
  const path = createRepository(join(base, 'work'), { 'a.txt': 'a\n' })
  const stateDir = join(base, 'state')
  const workspace = new Workspace({ id: 'work', path, stateDir, store: memoryStore() })
  const state = () => join(stateDir, readdirSync(stateDir)[0] ?? '')
  return { workspace, state }
}

it.each([
  ['git/sha1/objects', 'file', (workspace: Workspace) => workspace.snapshot()],
  ['git/sha1/snapshots', 'directory', (workspace: Workspace) => workspace.usage()],
  ['git/sha1/snapshots', 'directory', (workspace: Workspace) => workspace.collect()],
  ['git/sha1/repository/last', 'directory', (workspace: Workspace) => workspace.snapshot()],
  ['hash', 'file', (workspace: Workspace) => workspace.usage()],
  ['session.json', 'directory', (workspace: Workspace) => backupSession(workspace)],
])('names %s where a %s is in its place (%#)', async (place, kind, call) => {
  const { workspace, state } = workspaceWithState()
  await workspace.snapshot({ strategy: 'git' })
  await workspace.snapshot({ strategy: 'hash' })
  const path = join(state(), place)
  rmSync(path, { recursive: true, force: true })
  mkdirSync(dirname(path), { recursive: true })
  if (kind === 'file') writeFileSync(path, '')
  else mkdirSync(path)
  const error: unknown = await call(workspace).then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(WorkspaceError.is(error) && error.message).toContain('Cannot use the state directory')
})
