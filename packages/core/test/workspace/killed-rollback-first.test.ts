import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { beforeAll, describe, expect, it } from 'vitest'
import { backupSession, restoreSession } from '../../src/workspace/session.ts'
import { Workspace } from '../../src/workspace/workspace.ts'
import type { BackendName } from '../snapshot/rollback/rollback-fixture.ts'
import { runKilledRollback } from '../snapshot/rollback/run-killed-rollback.ts'
import { buildScript } from '../support/build-script.ts'
import { createRepository, git, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'
import { describeTree } from '../support/describe-tree.ts'

let script: string
beforeAll(async () => {
  script = await buildScript(join(import.meta.dirname, '../snapshot/rollback/killed-rollback.ts'))
})

const target = { 'a.txt': 'old\n', 'b.txt': 'old\n', 'c.txt': 'old\n' }
const agent = { 'a.txt': 'new\n', 'b.txt': 'new\n', 'made.txt': 'new\n' }

/** A version of what the agent made, and the rollback that was to undo it, killed in the middle of its writes. */
async function killed(name: BackendName) {
  const base = temporaryDirectory()
  const path = createRepository(join(base, 'work'), target)
  const store = memoryStore()
  const stateDir = join(base, 'state')
  const workspace = new Workspace({ id: 'work', path, stateDir, store })
  const before = await workspace.snapshot({ strategy: name })
  rmSync(join(path, 'c.txt'))
  writeFiles(path, agent)
  await backupSession(workspace)
  const stateDirectory = join(stateDir, readdirSync(stateDir)[0] ?? '')
  const rollback = { path, stateDirectory }
  const isKilled = (await runKilledRollback(script, name, rollback, { target: before }, 11)) === null
  expect(isKilled).toBe(true)
  expect(readdirSync(path).some((file) => file.startsWith('.ws-rollback-'))).toBe(true)
  const filesOf = (directory: string) =>
    Object.fromEntries(Object.entries(describeTree(directory)).filter(([file]) => !file.startsWith('.git')))
  const savedFiles = async () => {
    const copy = new Workspace({ id: 'work', path: join(base, 'copy'), stateDir, store })
    await copy.load()
    return filesOf(copy.path)
  }
  return { base, path, workspace, before, filesOf, savedFiles }
}

describe('a rollback that was killed', () => {
  it('is ended before the directory is saved, and the next snapshot tells (case 56)', async () => {
    const { path, workspace, filesOf, savedFiles } = await killed('git')
    await workspace.save('after the kill')
    expect(Object.keys(await savedFiles())).toEqual(['a.txt', 'b.txt', 'c.txt'])
    expect(await savedFiles()).toEqual(filesOf(path))
    const { metadata } = await workspace.snapshot({ strategy: 'git' })
    expect(metadata.recovery).toMatchObject({ outcome: 'forward' })
    expect((await workspace.snapshot({ strategy: 'git' })).metadata.recovery).toBeUndefined()
  })

  it('is ended also where the repository was made anew since, in another object format (case 56)', async () => {
    const { path, workspace, savedFiles } = await killed('git')
    rmSync(join(path, '.git'), { recursive: true })
    git(path, 'init', '--quiet', '--object-format=sha256')
    await workspace.save('after the kill')
    expect(Object.keys(await savedFiles())).toEqual(['a.txt', 'b.txt', 'c.txt'])
  })

  it('is ended before a version is loaded, and undoes nothing of it (case 56)', async () => {
    const { path, workspace, filesOf, savedFiles } = await killed('bundle')
    await workspace.load()
    const loaded = filesOf(path)
    expect(loaded).toEqual(await savedFiles())
    await workspace.snapshot({ strategy: 'bundle' })
    expect(filesOf(path)).toEqual(loaded)
  })

  it('is ended before another backend captures (case 56)', async () => {
    const { path, workspace, before, filesOf } = await killed('git')
    const other = await workspace.snapshot({ strategy: 'bundle' })
    await workspace.rollback(before)
    const rolledBack = filesOf(path)
    await workspace.rollback(other)
    expect(filesOf(path)).toEqual(rolledBack)
  })

  it('is ended before a session goes on in its directory (case 56)', async () => {
    const { path, workspace } = await killed('bundle')
    expect(await restoreSession({ workspace })).toMatchObject({ source: 'live' })
    expect(readdirSync(path).filter((file) => file !== '.git')).toEqual(['a.txt', 'b.txt', 'c.txt'])
  })

  it('is forgotten where its directory is gone when a version is loaded (case 56)', async () => {
    const { path, workspace, filesOf, savedFiles } = await killed('bundle')
    rmSync(path, { recursive: true })
    await workspace.load()
    await workspace.snapshot({ strategy: 'bundle' })
    expect(filesOf(path)).toEqual(await savedFiles())
  })
})
