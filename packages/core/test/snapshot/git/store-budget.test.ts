import { randomBytes } from 'node:crypto'
import { lstatSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collectState, measureState } from '../../../src/snapshot/collect-state.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { createFixture, runUserGit, type Fixture } from './git-fixture.ts'

const HOUR = 60 * 60_000
const WEEK = 7 * 24 * HOUR
const FILE_BYTES = 200_000
/** Of directories, the configuration and the like, which no collection could free. */
const FEW_BYTES = 16_384

/** What removing the private store would give back: every file once, and none that the user's repositories have too. */
function bytesFreedByRemoval({ path, stateDirectory }: Pick<Fixture, 'path' | 'stateDirectory'>): number {
  const others = new Set(filesIn(path).map(({ ino }) => ino))
  const ours = new Map(filesIn(join(stateDirectory, 'git')).map((stats) => [stats.ino, stats]))
  let bytes = 0
  for (const { ino, blocks } of ours.values()) if (!others.has(ino)) bytes += blocks * 512
  return bytes
}

function filesIn(directory: string) {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => lstatSync(join(entry.parentPath, entry.name)))
}

async function usage({ path, stateDirectory }: Fixture) {
  const [storage] = await measureState({ path, stateDirectory }, {})
  return storage!
}

function expectTrueUsage(bytes: number, fixture: Fixture): void {
  const freed = bytesFreedByRemoval(fixture)
  expect(bytes).toBeGreaterThan(freed - FEW_BYTES)
  expect(bytes).toBeLessThan(freed + FEW_BYTES)
}

/** A repository of which each commit holds a large file of its own, and a snapshot of each. */
async function prepare({ commits = 3, isPacked = false } = {}) {
  const fixture = createFixture()
  const backend = await fixture.open()
  const taken: Snapshot[] = []
  for (let step = 0; step < commits; step += 1) {
    fixture.write('large.bin', randomBytes(FILE_BYTES))
    fixture.git('add', '-A')
    fixture.git('commit', '-q', '-m', `${step}`)
    if (isPacked) fixture.git('repack', '-q', '-d')
    taken.push(await backend.capture({ label: 'snapshot' }))
  }
  const collect = (maxSnapshotBytes: number, now: number) =>
    collectState({ path: fixture.path, stateDirectory: fixture.stateDirectory, maxSnapshotBytes }, { now })
  return { fixture, backend, taken, collect, head: fixture.git('rev-parse', 'HEAD').trim() }
}

/** All but the newest commit are gone from the user's repository. */
function forget(fixture: Fixture): void {
  fixture.git('checkout', '-q', '--orphan', 'fresh')
  fixture.git('commit', '-q', '-m', 'all anew')
  fixture.git('branch', '-q', '-D', 'main')
  fixture.git('reflog', 'expire', '--expire=now', '--all')
  fixture.git('gc', '-q', '--prune=now')
}

describe.each([
  ['loose objects', false],
  ['packs', true],
])('%s that captures took from the user', (_, isPacked) => {
  it('count for nothing while the user has them, and in full, once, when the user has them no more (case 67)', async () => {
    const { fixture } = await prepare({ isPacked })
    const shared = await usage(fixture)
    expect(shared.bytes).toBeLessThan(FILE_BYTES)
    expectTrueUsage(shared.bytes, fixture)
    forget(fixture)
    const alone = await usage(fixture)
    expect(alone.bytes).toBeGreaterThan(2 * FILE_BYTES)
    expect(alone.bytes).toBeLessThan(4 * FILE_BYTES)
    expectTrueUsage(alone.bytes, fixture)
  })

  it('go with the oldest snapshots when the budget has no room for what only snapshots have left (case 67)', async () => {
    const { fixture, backend, taken, collect } = await prepare({ commits: 23, isPacked })
    forget(fixture)
    await backend.capture({ label: 'snapshot' })
    const before = await usage(fixture)
    expectTrueUsage(before.bytes, fixture)
    const [collection] = await collect(1, Date.now() + 5 * HOUR)
    expect(collection?.removed).toHaveLength(3)
    expect(collection?.freedBytes).toBeGreaterThan(2 * FILE_BYTES)
    const after = await usage(fixture)
    expectTrueUsage(after.bytes, fixture)
    expect(collection?.bytes).toBeLessThan(after.bytes + FEW_BYTES)
    expect(before.bytes - after.bytes).toBeGreaterThan(2 * FILE_BYTES)
    for (const snapshot of taken.slice(3))
      expect((await backend.changes(snapshot, taken.at(-1)!)).map(({ path }) => path)).toEqual(
        snapshot === taken.at(-1) ? [] : ['large.bin'],
      )
  })
})

it('what two workspaces of one repository took counts for both once the user has it no more (case 67)', async () => {
  const { fixture } = await prepare({ isPacked: true })
  const tree = join(fixture.outside, 'tree')
  fixture.git('worktree', 'add', '-q', '--detach', tree)
  const other = { ...fixture, path: tree, stateDirectory: join(fixture.outside, 'state') }
  const second = await openGitBackend(other)
  await second?.capture({ label: 'snapshot' })
  expect((await usage(other)).bytes).toBeLessThan(FILE_BYTES)
  fixture.git('worktree', 'remove', '--force', tree)
  forget(fixture)
  for (const each of [fixture, other]) expect((await usage(each)).bytes).toBeGreaterThan(2 * FILE_BYTES)
})

it('what a directory of a repository, and a repository in it, share with their snapshots counts for nothing (case 67)', async () => {
  const fixture = createFixture()
  const nested = join(fixture.path, 'src/nested')
  for (const [directory, name] of [
    [fixture.path, 'src/large.bin'],
    [nested, 'large.bin'],
  ] as const) {
    fixture.write(`src/${directory === nested ? 'nested/' : ''}large.bin`, randomBytes(FILE_BYTES))
    if (directory === nested) runUserGit(nested, 'init', '-q')
    runUserGit(directory, 'add', name)
    runUserGit(directory, 'commit', '-q', '-m', 'large')
  }
  // Neither index was written at the time of the files.
  fixture.ageFiles()
  await (await fixture.open(join(fixture.path, 'src'))).capture({ label: 'snapshot' })
  expect((await usage(fixture)).bytes).toBeLessThan(FILE_BYTES)
})

describe('what restoreGit needs of a repository that is gone', () => {
  it.each([
    ['stays for an hour, whatever the budget', 0, { maxBytes: 1 }, true],
    ['stays for a week where there is room', 6 * 24 * HOUR, { maxBytes: 1e9 }, true],
    ['makes room after an hour', 2 * HOUR, { maxBytes: 1 }, false],
    ['goes after a week', WEEK + HOUR, { maxBytes: 1e9 }, false],
  ])('%s (cases 67, 83)', async (_, age, { maxBytes }, isThere) => {
    const { fixture, taken, collect, head } = await prepare()
    rmSync(join(fixture.path, '.git'), { recursive: true })
    const before = await usage(fixture)
    const [collection] = await collect(maxBytes, Date.now() + age)
    expect(collection?.removed).toEqual([])
    const after = await usage(fixture)
    expectTrueUsage(after.bytes, fixture)
    expect(before.bytes - after.bytes).toBeLessThanOrEqual((collection?.freedBytes ?? 0) + FEW_BYTES)
    fixture.git('init', '-q', '-b', 'main')
    const restored = await (await fixture.open()).rollback(taken.at(-1)!, { restoreGit: true })
    expect(restored.verified).toBe(true)
    const parts = restored.git?.notRestored.map(({ part }) => part)
    expect(parts?.includes('branch')).toBe(!isThere)
    if (isThere) expect(fixture.git('rev-parse', 'HEAD').trim()).toBe(head)
  })
})

it("a first snapshot takes one link for each of the user's loose objects, and no space", async () => {
  const { fixture } = await prepare({ commits: 1 })
  const links = filesIn(join(fixture.path, '.git/objects')).map(({ nlink }) => nlink)
  expect(new Set(links)).toEqual(new Set([2]))
})

it('objects that snapshots need no more stay for restoreGit, also those that took only one link (cases 67, 83)', async () => {
  const { fixture, taken, collect, head } = await prepare({ commits: 23 })
  const [collection] = await collect(1, Date.now() + 5 * HOUR)
  expect(collection?.removed).toHaveLength(3)
  rmSync(join(fixture.path, '.git'), { recursive: true })
  fixture.git('init', '-q', '-b', 'main')
  await (await fixture.open()).rollback(taken.at(-1)!, { restoreGit: true })
  expect(fixture.git('rev-parse', 'HEAD').trim()).toBe(head)
  expect(fixture.git('fsck', '--full', '--no-dangling')).toBe('')
  expect(fixture.git('log', '--format=%s').split('\n')).toHaveLength(25)
})

it('a collection does not say of objects that they are freed when it keeps them for restoreGit (case 67)', async () => {
  const { fixture, collect } = await prepare({ commits: 23 })
  forget(fixture)
  // The oldest snapshots were taken long before the user's objects went.
  const log = join(fixture.stateDirectory, 'git/sha1/snapshots')
  const aged = readFileSync(log, 'utf8')
    .split('\n')
    .map((line, at) => (at <= 3 ? line.replace(/"capturedAt":"\d+/, '"capturedAt":"2001') : line))
  writeFileSync(log, aged.join('\n'))
  const [collection] = await collect(1, Date.now())
  expect(collection?.removed).toHaveLength(3)
  expect(collection?.freedBytes).toBeLessThan(FILE_BYTES)
  const after = await usage(fixture)
  expectTrueUsage(after.bytes, fixture)
  expect(Math.abs((collection?.bytes ?? 0) - after.bytes)).toBeLessThan(FEW_BYTES)
})

it('an object that a snapshot stored before the user did stays for restoreGit too (cases 67, 83)', async () => {
  const { fixture, backend, collect } = await prepare({ commits: 1 })
  fixture.write('large.bin', 'stored first\n')
  await backend.capture({ label: 'snapshot' })
  fixture.git('commit', '-q', '-a', '-m', 'then committed')
  let last: Snapshot | null = null
  for (let step = 0; step < 21; step += 1) {
    fixture.write('large.bin', `${step}\n`)
    last = await backend.capture({ label: 'snapshot' })
  }
  await collect(1, Date.now() + 5 * HOUR)
  rmSync(join(fixture.path, '.git'), { recursive: true })
  fixture.git('init', '-q', '-b', 'main')
  await (await fixture.open()).rollback(last!, { restoreGit: true })
  expect(fixture.git('show', 'HEAD:large.bin')).toBe('stored first\n')
})
