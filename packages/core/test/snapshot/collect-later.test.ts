import { readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { Workspace } from '../../src/index.ts'
import { prepareStateDirectory } from '../../src/filesystem/state-directory.ts'
import { collectionsDone } from '../../src/snapshot/collect-later.ts'
import { createRepository, temporaryDirectory } from '../support/temporary-directory.ts'

const HOUR = 60 * 60_000

async function prepare() {
  const base = temporaryDirectory()
  const path = createRepository(join(base, 'work'), { 'a.txt': 'one\n' })
  const stateDir = join(base, 'state')
  const workspace = new Workspace({ id: 'w', path, stateDir, maxSnapshotBytes: 1 })
  const stateDirectory = await prepareStateDirectory(path, stateDir)
  const note = join(stateDirectory, 'collected.json')
  let taken = 0
  const take = async (count: number, strategy: 'git' | 'hash' = 'git') => {
    for (let number = 0; number < count; number += 1) {
      writeFileSync(join(path, 'a.txt'), `${(taken += 1)}\n`)
      await workspace.snapshot({ strategy })
    }
    await collectionsDone(stateDirectory)
  }
  /** As if this much time had gone by since the snapshots were taken and the last collection was. */
  const passHours = (hours: number) => {
    const log = join(stateDirectory, 'git/sha1/snapshots')
    const then = new Date(Date.now() - hours * HOUR)
    writeFileSync(
      log,
      readFileSync(log, 'utf8').replace(/"capturedAt":"[^"]+"/g, `"capturedAt":"${then.toISOString()}"`),
    )
    utimesSync(note, then, then)
  }
  const snapshotsOf = async () => (await workspace.usage()).snapshots
  return { workspace, stateDirectory, note, take, passHours, snapshotsOf }
}

it('snapshots are brought within their budget by themselves, once an hour (case 67)', async () => {
  const { take, passHours, snapshotsOf, note } = await prepare()
  await take(24)
  const first = readFileSync(note, 'utf8')
  expect((await snapshotsOf()).backends).toMatchObject([{ backend: 'git', snapshots: 24, maxBytes: 1 }])
  passHours(5)
  await take(1)
  const { backends, lastCollection } = await snapshotsOf()
  expect(backends).toMatchObject([{ snapshots: 20, reclaimableBytes: 0 }])
  expect(lastCollection).toMatchObject({ error: null })
  expect(readFileSync(note, 'utf8')).not.toBe(first)
})

it('snapshots are looked through after 50 captures of a process, however soon (case 67)', async () => {
  const { take, note } = await prepare()
  await take(1, 'hash')
  writeFileSync(note, 'not collected since')
  await take(48, 'hash')
  expect(readFileSync(note, 'utf8')).toBe('not collected since')
  await take(1, 'hash')
  expect(readFileSync(note, 'utf8')).not.toBe('not collected since')
})

it('an automatic collection stops after a minute and goes on the next time (case 66)', async () => {
  const { take, passHours, snapshotsOf } = await prepare()
  await take(24)
  passHours(5)
  const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(AbortSignal.abort(new Error('late')))
  onTestFinished(() => void vi.restoreAllMocks())
  await take(1)
  expect(timeout).toHaveBeenCalledWith(60_000)
  expect(await snapshotsOf()).toMatchObject({
    backends: [{ snapshots: 25 }],
    lastCollection: { error: 'late' },
  })
  timeout.mockRestore()
  passHours(5)
  await take(1)
  expect(await snapshotsOf()).toMatchObject({
    backends: [{ snapshots: 20 }],
    lastCollection: { error: null },
  })
})

it('an automatic collection that fails stops no snapshot, and usage says why', async () => {
  const { workspace, take, passHours, stateDirectory, note } = await prepare()
  await take(1)
  passHours(5)
  writeFileSync(join(stateDirectory, 'hash'), 'no directory')
  await take(1)
  expect(JSON.parse(readFileSync(note, 'utf8'))).toMatchObject({ error: expect.stringContaining('ENOTDIR') })
  await expect(workspace.snapshot({ strategy: 'git' })).resolves.toMatchObject({ backend: 'git' })
})
