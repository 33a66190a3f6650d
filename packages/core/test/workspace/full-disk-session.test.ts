import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { backupSession, restoreSession, Workspace } from '../../src/index.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

function fixture() {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  const stateDir = mountSmallDisk(join(base, 'state'), 2)
  const store = memoryStore()
  const workspace = new Workspace({ id: 'w', path, store, stateDir })
  const rest = join(stateDir, 'rest.bin')
  const fill = (left: number): void => {
    const { bavail, bsize } = statfsSync(stateDir)
    writeFileSync(rest, Buffer.alloc(bavail * bsize - left))
  }
  return { base, path, store, stateDir, workspace, fill, makeRoom: () => rmSync(rest) }
}

it('backs a session up whole or not at all while the disk of the state directory is full, and afterwards', async () => {
  const { path, stateDir, workspace, fill, makeRoom } = fixture()
  mkdirSync(path)
  writeFiles(path, { notes: 'one' })
  await backupSession(workspace)
  writeFiles(path, { notes: 'two' })
  fill(0)
  await expect(backupSession(workspace)).rejects.toMatchObject({
    code: 'QUOTA_EXCEEDED',
    message: expect.stringContaining(stateDir) as string,
  })
  expect(await Array.fromAsync(workspace.history())).toHaveLength(1)
  makeRoom()
  expect((await backupSession(workspace)).version.version).toBe(2)
  fill(4096)
  expect((await backupSession(workspace)).version.version).toBe(3)
  expect((await backupSession(workspace)).version.version).toBe(4)
})

it('leaves nothing of a restore that its state directory has no room for', async () => {
  const { base, path, store, stateDir, workspace, fill, makeRoom } = fixture()
  mkdirSync(path)
  writeFiles(path, { notes: 'one' })
  await backupSession(workspace)
  const elsewhere = new Workspace({ id: 'w', path: join(base, 'new/deep'), store, stateDir })
  for (const left of [0, 4096]) {
    fill(left)
    await expect(restoreSession({ workspace: elsewhere })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    expect(existsSync(join(base, 'new'))).toBe(false)
    makeRoom()
  }
  expect(await restoreSession({ workspace: elsewhere })).toMatchObject({ source: 'store', version: 1 })
})
