import { copyFileSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { collectState } from '../../../src/snapshot/collect-state.ts'
import { captureStateFile } from '../../../src/snapshot/git/capture/capture-state-file.ts'
import type { CaptureState } from '../../../src/snapshot/git/capture/capture-state.ts'
import { tableOfColumns } from '../../../src/snapshot/git/table/entry-table.ts'
import { isSettled } from '../../../src/snapshot/git/table/file-stamp.ts'
import { sharedNumbers } from '../../../src/snapshot/git/table/shared-columns.ts'
import { openPrivateRepository } from '../../../src/snapshot/git/private/private-repository.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import { createFixture, createScratch } from './git-fixture.ts'

/** Lets the next capture find the state as another process does, which has nothing in memory. */
function forgetWhatIsInMemory(stateDirectory: string): void {
  const state = join(stateDirectory, 'git/sha1/state')
  copyFileSync(state, `${state}.copy`)
  renameSync(`${state}.copy`, state)
}

const second = 1_000_000_000n

it('trusts no stamp that a later change could share: within a clock tick, or two seconds where stamps are whole', () => {
  const fine = { ctimeNs: 100n * second + 5n }
  expect(isSettled(fine, fine.ctimeNs)).toBe(false)
  expect(isSettled(fine, fine.ctimeNs + 10_000_000n)).toBe(false)
  expect(isSettled(fine, fine.ctimeNs + second)).toBe(true)
  expect(isSettled(fine, fine.ctimeNs - second)).toBe(false)
  const coarse = { ctimeNs: 100n * second }
  expect(isSettled(coarse, coarse.ctimeNs + 2n * second)).toBe(false)
  expect(isSettled(coarse, coarse.ctimeNs + 3n * second)).toBe(true)
})

it.each([
  ['in this process', (): void => {}],
  ['in another process', forgetWhatIsInMemory],
])(
  'builds on no capture that is not in the log, %s: its objects may have been collected (case 61)',
  async (_, forget) => {
    const { path, stateDirectory, open, read, write } = createFixture()
    const backend = await open()
    await backend.capture({ label: 'snapshot' })
    write('new.txt', 'made by the agent\n')
    const log = join(stateDirectory, 'git/sha1/snapshots')
    const logged = readFileSync(log)
    await backend.capture({ label: 'snapshot' })
    writeFileSync(log, logged)
    await collectState({ path, stateDirectory, maxSnapshotBytes: 0 })
    forget(stateDirectory)

    const snapshot = await backend.capture({ label: 'snapshot' })
    rmSync(join(path, 'new.txt'))
    await backend.rollback(snapshot)
    expect(read('new.txt')).toBe('made by the agent\n')
  },
)

it('has its entries in order, whichever of them were read and whichever came with the index', async () => {
  const { stateDirectory, open, write, ageFiles } = createFixture()
  ageFiles()
  for (const name of ['0.txt', 'a.b/x', 'a/y', 'src/a.txt', 'z']) write(name, name)
  const backend = await open()
  await backend.capture({ label: 'snapshot' })
  const state = captureStateFile(await openPrivateRepository(stateDirectory, 'sha1'))
  const paths = ['0.txt', 'a.b/x', 'a.txt', 'a/y', 'src/a.txt', 'src/b.txt', 'z']
  expect(state.load()?.entries.paths()).toEqual(paths)
  write('a.txt', 'edited')
  write('b', 'new')
  await backend.capture({ label: 'snapshot' })
  expect(state.load()?.entries.paths()).toEqual([...paths, 'b'].sort())
})

it('is written down when more than a little has changed, and nothing is missed by whoever reads the one before', async () => {
  const { stateDirectory, open, read, write } = createFixture()
  const names = Array.from({ length: 300 }, (_, number) => `${1000 + number}.txt`)
  for (const name of names) write(name, name)
  const backend = await open()
  await waitUntilSettled(stateDirectory, backend)
  // An inode alone may be one that was free again.
  const written = () => {
    const { ino, mtimeNs } = statSync(join(stateDirectory, 'git/sha1/state'), { bigint: true })
    return `${ino} ${mtimeNs}`
  }
  const first = written()
  write('1001.txt', 'edited')
  const edited = await backend.capture({ label: 'snapshot' })
  expect(written()).toBe(first)
  forgetWhatIsInMemory(stateDirectory)
  const copied = written()
  expect((await backend.capture({ label: 'snapshot' })).ref).toBe(edited.ref)

  for (const name of ['1002.txt', '1003.txt', '1004.txt', '1005.txt']) {
    write(name, 'edited')
    await backend.capture({ label: 'snapshot' })
  }
  expect(written()).not.toBe(copied)
  forgetWhatIsInMemory(stateDirectory)
  await backend.rollback(edited)
  expect([read('1001.txt'), read('1005.txt')]).toEqual(['edited', '1005.txt'])
})

/** Files that were written a moment ago are read again by each capture. */
async function waitUntilSettled(stateDirectory: string, backend: SnapshotBackend): Promise<void> {
  const state = captureStateFile(await openPrivateRepository(stateDirectory, 'sha1'))
  const isSettledNow = () => [...(state.load()?.entries ?? [])].every(([, { settled }]) => settled)
  do await backend.capture({ label: 'snapshot' })
  while (!isSettledNow())
}

/** A state of so many files whose snapshot is in no log: it is found only as long as it is in memory. */
function unloggedState(files: number): CaptureState {
  const paths = Array.from({ length: files }, (_, row) => `${row}`).sort()
  const columns = { ...sharedNumbers(files), ids: new Uint8Array(files * 20), paths: paths.join('\0') }
  const entries = tableOfColumns(columns)
  const state: Partial<CaptureState> = {
    tree: '',
    sidecar: null,
    entries,
    directories: new Map(),
    isAsListed: true,
  }
  return state as CaptureState
}

it('is kept in memory for the workspaces that were used last, as long as they do not have too many files together', async () => {
  const keep = async (files: number) => {
    const file = captureStateFile(await openPrivateRepository(createScratch(), 'sha1'))
    const state = unloggedState(files)
    file.save(state, null)
    return () => file.load() === state
  }
  const [first, second] = [await keep(120_000), await keep(80_000)]
  expect([first(), second()]).toEqual([true, true])
  const third = await keep(1_000)
  expect([first(), second(), third()]).toEqual([false, true, true])
})
