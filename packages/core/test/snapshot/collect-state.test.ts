import { randomBytes } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { acquireProcessLock } from '../../src/filesystem/process-lock.ts'
import { collectionsDone } from '../../src/snapshot/collect-later.ts'
import { collectState, measureState } from '../../src/snapshot/collect-state.ts'
import { openSnapshotBackend } from '../../src/snapshot/open-snapshot-backend.ts'
import type { Snapshot } from '../../src/snapshot/snapshot.ts'
import { createRepository, git, temporaryDirectory } from '../support/temporary-directory.ts'

const HOUR = 60 * 60_000
const FILE_BYTES = 40_000

/** A workspace of which thirty snapshots were taken, each with a file of its own content. */
async function prepare(strategy: 'git' | 'hash' | 'bundle') {
  const base = temporaryDirectory()
  const path = createRepository(join(base, 'work'), { 'a.txt': 'one\n', 'src/b.txt': 'two\n' })
  const stateDirectory = join(base, 'state')
  mkdirSync(stateDirectory)
  const backend = await openSnapshotBackend({ path, stateDirectory, strategy })
  const taken: Snapshot[] = []
  for (let step = 0; step < 30; step += 1) {
    writeFileSync(join(path, 'noise.bin'), randomBytes(FILE_BYTES))
    taken.push(await backend.capture({ label: step === 3 ? 'before the release' : 'snapshot' }))
    if (strategy === 'hash') {
      // Manifests have the time at which they were last used; a file system may tell no two of these apart.
      const time = new Date(Date.now() - (30 - step) * 1000)
      utimesSync(join(stateDirectory, 'hash', `${taken.at(-1)?.ref}.manifest.zst`), time, time)
    }
  }
  const last = taken[29]!
  const isThere = async (snapshot: Snapshot) =>
    backend.changes(snapshot, last).then(
      () => backend.name === 'hash' || backend.rollback(snapshot, { dryRun: true }).then(() => true),
      (error: unknown) => {
        expect(error).toMatchObject({
          code: 'NOT_FOUND',
          message: expect.stringContaining('Take a new snapshot'),
        })
        return false
      },
    )
  const kept = async () => {
    const indexes: number[] = []
    for (const [index, snapshot] of taken.entries()) if (await isThere(snapshot)) indexes.push(index)
    return indexes
  }
  return { path, stateDirectory, backend, taken, kept, state: { path, stateDirectory } }
}

function bytesOn(directory: string): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true }))
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size
  return bytes
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)

describe.each(['git', 'bundle', 'hash'] as const)('collecting what the %s backend keeps', (strategy) => {
  it('removes nothing of the last hour, however small the budget', async () => {
    const { kept, state } = await prepare(strategy)
    const [collection] = await collectState({ ...state, maxSnapshotBytes: 0 })
    expect(collection).toMatchObject({ backend: strategy, removed: [], snapshots: 30 })
    expect(await kept()).toEqual(numbers(0, 30))
  })

  it('removes nothing while it fits, and says what it takes (case 67)', async () => {
    const { kept, state } = await prepare(strategy)
    const [collection] = await collectState(state, { now: Date.now() + 5 * HOUR })
    expect(collection).toMatchObject({ removed: [], snapshots: 30 })
    expect(await kept()).toEqual(numbers(0, 30))
    const [usage] = await measureState(state, {})
    expect(usage).toMatchObject({ backend: strategy, snapshots: 30, reclaimableBytes: 0 })
    if (strategy !== 'hash') expect(usage?.bytes).toBeGreaterThan(30 * FILE_BYTES)
  })

  it('removes the oldest over the budget, with their content, and a dry run says which (case 67)', async () => {
    const { kept, state, stateDirectory, taken } = await prepare(strategy)
    const before = bytesOn(join(stateDirectory, strategy))
    const options = { now: Date.now() + 5 * HOUR }
    const [planned] = await collectState({ ...state, maxSnapshotBytes: 1 }, { ...options, dryRun: true })
    expect(await kept()).toEqual(numbers(0, 30))
    expect(planned?.removed.map(({ ref }) => ref).toSorted()).toEqual(
      taken
        .slice(0, 10)
        .map(({ ref }) => ref)
        .toSorted(),
    )
    const [collection] = await collectState({ ...state, maxSnapshotBytes: 1 }, options)
    expect(collection?.removed).toEqual(planned?.removed)
    expect(await kept()).toEqual(numbers(10, 30))
    if (strategy !== 'hash') {
      expect(collection?.freedBytes).toBeGreaterThan(7 * FILE_BYTES)
      expect(before - bytesOn(join(stateDirectory, strategy))).toBeGreaterThan(7 * FILE_BYTES)
    }
    const [usage] = await measureState({ ...state, maxSnapshotBytes: 1 }, {})
    expect(usage).toMatchObject({ snapshots: 20, reclaimableBytes: 0 })
    if (strategy !== 'hash') expect(usage?.bytes).toBeLessThan(before - 5 * FILE_BYTES)
  })

  it('removes nothing that was taken since the run that is going on began', async () => {
    const { kept, state, stateDirectory, taken } = await prepare(strategy)
    const run = await acquireProcessLock(join(stateDirectory, 'locks'), 'run')
    const options = { now: Date.now() + 5 * HOUR }
    tellRunningSince(stateDirectory, Date.parse(taken[0]!.capturedAt) - 60_000)
    await collectState({ ...state, maxSnapshotBytes: 1 }, options)
    expect(await kept()).toEqual(numbers(0, 30))
    tellRunningSince(stateDirectory, Date.now() + 3 * HOUR)
    await collectState({ ...state, maxSnapshotBytes: 1 }, options)
    expect(await kept()).toEqual(numbers(10, 30))
    await run.release()
  })

  it('goes on from what a collection that was killed has left', async () => {
    const { kept, state, stateDirectory } = await prepare(strategy)
    const litter = {
      git: [
        'git/sha1/collecting/pack-1.pack',
        'git/sha1/objects/pack/tmp_pack_1',
        'git/sha1/objects/pack/pack-0.pack',
      ],
      hash: ['hash/stat-cache-1.99-abc.tmp', `hash/${'0'.repeat(64)}.manifest.zst.condemned`],
      bundle: ['bundle/store/.aside/abc'],
    }[strategy].map((name) => join(stateDirectory, name))
    for (const file of litter) {
      mkdirSync(join(file, '..'), { recursive: true })
      writeFileSync(file, 'x')
    }
    const { backend } = await openAgain(state, strategy)
    await backend.capture({ label: 'snapshot' })
    await collectState({ ...state, maxSnapshotBytes: 1 }, { now: Date.now() + 5 * HOUR })
    expect(litter.filter((file) => existsSync(file))).toEqual([])
    expect((await kept()).slice(-15)).toEqual(numbers(15, 30))
  })
})

/** Turns the clock by which the run that holds the lock began. */
function tellRunningSince(stateDirectory: string, since: number): void {
  const [name = ''] = readdirSync(join(stateDirectory, 'locks'))
  const path = join(stateDirectory, 'locks', name)
  const owner = JSON.parse(readFileSync(path, 'utf8')) as object
  writeFileSync(path, JSON.stringify({ ...owner, since: new Date(since).toISOString() }))
}

// Of these few snapshots a collection by git sweeps in three steps, one by bundle in one.
it.each([
  ['git', 3],
  ['bundle', 1],
] as const)(
  'a snapshot does not wait for the end of a collection of the %s backend, which plans without the lock (case 66)',
  async (strategy, steps) => {
    const { state, stateDirectory } = await prepare(strategy)
    const captures = join(stateDirectory, strategy)
    // Each time that somebody takes the lock, it gets the next number.
    const timesTaken = (): number =>
      Math.max(...readdirSync(captures).map((name) => Number(/^capture\.(\d+)$/.exec(name)?.[1] ?? 0)))
    const options = { now: Date.now() + 5 * HOUR }
    const capture = await acquireProcessLock(captures, 'capture')
    const [planned] = await collectState({ ...state, maxSnapshotBytes: 1 }, { ...options, dryRun: true })
    expect(planned?.removed).toHaveLength(10)
    const before = timesTaken()
    await capture.release()
    const [collection] = await collectState({ ...state, maxSnapshotBytes: 1 }, options)
    expect(collection?.removed).toEqual(planned?.removed)
    expect(timesTaken() - before).toBeGreaterThanOrEqual(steps)
  },
)

async function openAgain(
  state: { path: string; stateDirectory: string },
  strategy: 'git' | 'hash' | 'bundle',
) {
  return { backend: await openSnapshotBackend({ ...state, strategy }) }
}

describe('where there is room for one more', () => {
  it.each([
    ['git', 1.3],
    // A version holds on to the packs of the few before it.
    ['bundle', 4.3],
  ] as const)('a label of the caller has the first claim to it (%s)', async (backend, files) => {
    const { kept, state } = await prepare(backend)
    const now = Date.now() + 5 * HOUR
    const [least] = await collectState({ ...state, maxSnapshotBytes: 1 }, { now, dryRun: true })
    const maxSnapshotBytes = (least?.bytes ?? 0) + FILE_BYTES * files
    await collectState({ ...state, maxSnapshotBytes }, { now })
    const left = await kept()
    expect(left).toContain(3)
    expect(left).not.toContain(4)
  })
})

it('keeps what the kept snapshots recorded of the repository, and no more', async () => {
  const { backend, path, state, stateDirectory } = await prepare('git')
  const before = await backend.capture({ label: 'before the commits' })
  const head = git(path, 'rev-parse', 'HEAD')
  for (let step = 0; step < 25; step += 1) {
    writeFileSync(join(path, 'a.txt'), `${step}\n`)
    git(path, 'commit', '--quiet', '--all', `--message=${step}`)
    await backend.capture({ label: 'snapshot' })
  }
  await collectionsDone(stateDirectory)
  const recorded = () => readdirSync(join(stateDirectory, 'git/sha1/repository')).length
  const all = recorded()
  await collectState({ ...state, maxSnapshotBytes: 1e9 }, { now: Date.now() + 5 * HOUR })
  expect(recorded()).toBe(all)
  await collectState({ ...state, maxSnapshotBytes: 1 }, { now: Date.now() + 5 * HOUR })
  expect(recorded()).toBeLessThan(all - 5)
  await expect(backend.rollback(before, { restoreGit: true })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  const next = await backend.capture({ label: 'next' })
  git(path, 'reset', '--quiet', '--hard', head.trim())
  expect((await backend.rollback(next, { restoreGit: true })).verified).toBe(true)
  expect(git(path, 'log', '-1', '--format=%s').trim()).toBe('24')
})
