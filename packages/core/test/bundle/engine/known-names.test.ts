import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it, onTestFinished, vi } from 'vitest'
import { createDirectoryCursor } from '../../../src/filesystem/directory-cursor.ts'
import { emptyTree, type KnownTree } from '../../../src/bundle/engine/known/known-tree.ts'
import { useKnownTree } from '../../../src/bundle/engine/known/known-trees.ts'
import { listSmallTree } from '../../../src/bundle/engine/save/list-small-tree.ts'
import { runSaveJob } from '../../../src/bundle/engine/save/save-job.ts'
import { createSaveNotes } from '../../../src/bundle/engine/save/save-notes.ts'
import { walkDirectory, type FoundDirectory } from '../../../src/bundle/engine/save/walk-directory.ts'
import { showsNamesInChangeTime } from '../../../src/filesystem/names-in-change-time.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { startSaving, type SaveSession } from './save-session.ts'
import { listDirectory, listSaved } from './saved-files.ts'

const files = { 'a/one': '1', 'a/two': '2', 'a/inner/three': '3', 'b/four': '4' }

/** For saves, what is in a directory was made long ago. */
function letTimePass(): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10_000 })
  onTestFinished(() => void vi.useRealTimers())
}

/** What changes from here on gets a later change time than what is there. */
function waitForTick(directory: string): void {
  const { ctimeNs } = lstatSync(directory, { bigint: true })
  const probe = join(temporaryDirectory(), 'probe')
  do writeFileSync(probe, '')
  while (lstatSync(probe, { bigint: true }).ctimeNs <= ctimeNs)
}

async function startKnown(
  content: Readonly<Record<string, string>> = files,
): Promise<{ directory: string; session: SaveSession; listed: () => Promise<string[]> }> {
  const directory = temporaryDirectory()
  const cache = temporaryDirectory()
  writeFiles(directory, content)
  const session = await startSaving(directory, cache)
  const { repository } = session.repository.marker
  const listed = (): Promise<string[]> =>
    useKnownTree(cache, repository, async (tree) =>
      walk(directory, tree)
        .filter(({ isAsListed }) => !isAsListed)
        .map(({ path }) => path),
    )
  return { directory, session, listed }
}

function walk(directory: string, tree: KnownTree): FoundDirectory[] {
  const cursor = createDirectoryCursor(directory)
  const known = (path: string) => tree.directories.get(path) ?? null
  const options = { ahead: null, isExcluded: () => false, limitOf: () => null, notes: createSaveNotes() }
  try {
    return [...walkDirectory({ cursor, directory, known, listed: () => null, ...options })]
  } finally {
    cursor.close()
  }
}

/** On file systems that say nothing of names every directory is listed every time. */
function ifShown(directory: string, paths: readonly string[]): readonly string[] {
  return showsNamesInChangeTime(directory) ? paths : ['', 'a', 'a/inner', 'b']
}

it('lists the root alone of a tree in which nothing has changed', async () => {
  letTimePass()
  const { directory, session, listed } = await startKnown()
  expect(await listed()).toEqual(['', 'a', 'a/inner', 'b'])
  await session.save()
  expect(await listed()).toEqual(ifShown(directory, ['']))
})

it('lists a directory again that had changed shortly before it was listed', async () => {
  const { directory, session, listed } = await startKnown()
  const first = await session.save()
  expect(await listed()).toEqual(['', 'a', 'a/inner', 'b'])
  letTimePass()
  // Nothing is stored for it: what is learned is for the next save alone.
  expect(await session.save()).toMatchObject({ root: first.root, newPacks: [], unchanged: { files: 4 } })
  expect(await listed()).toEqual(ifShown(directory, ['']))
})

it('finds names that came and went, whatever the modification times say', async () => {
  letTimePass()
  const { directory, session, listed } = await startKnown()
  const times = new Date(1_700_000_000_000)
  const setTimes = (): void => {
    for (const path of ['a', 'a/inner', 'b']) utimesSync(join(directory, path), times, times)
  }
  setTimes()
  await session.save()
  waitForTick(join(directory, 'b'))
  writeFileSync(join(directory, 'a/new'), 'new')
  rmSync(join(directory, 'a/inner/three'))
  renameSync(join(directory, 'b/four'), join(directory, 'b/five'))
  setTimes()
  expect(await listed()).toEqual(['', 'a', 'a/inner', 'b'])
  const saved = await session.save()
  expect(saved).toMatchObject({ added: { files: 2 }, removed: { files: 2 }, unchanged: { files: 2 } })
  expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
})

it('lists a directory that another one was put in place of', async () => {
  letTimePass()
  const { directory, session } = await startKnown({ 'a/x': '1', 'b/x': '2', 'b/y': '3' })
  const times = new Date(1_700_000_000_000)
  for (const path of ['a', 'b']) utimesSync(join(directory, path), times, times)
  await session.save()
  renameSync(join(directory, 'a'), join(directory, 'c'))
  renameSync(join(directory, 'b'), join(directory, 'a'))
  renameSync(join(directory, 'c'), join(directory, 'b'))
  const saved = await session.save()
  expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
})

it('lists a directory again whose names were taken from before a file came', async () => {
  const directory = temporaryDirectory()
  writeFiles(directory, files)
  const listed = listSmallTree(directory, 100, () => false)
  writeFileSync(join(directory, 'a/new'), 'new')
  // However long it took from the listing to the save.
  letTimePass()
  const known = emptyTree()
  const job = { directory, exclude: [], keys: null, parent: null, listed }
  const saved = await runSaveJob(job, known, {
    pause: () => undefined,
    onWalked: () => undefined,
    readAheadBytes: Number.POSITIVE_INFINITY,
    readingThread: () => null,
    warmReadingThread: () => null,
    onProgress: () => undefined,
    put: async () => null,
    readParent: async () => emptyTree(),
  })
  expect(saved.added).toMatchObject({ files: 4 })
  const anew = walk(directory, known).filter(({ isAsListed }) => !isAsListed)
  expect(anew.map(({ path }) => path)).toContain('a')
})

it('lists a directory of which something was left out', async () => {
  letTimePass()
  const { directory, session, listed } = await startKnown()
  execFileSync('mkfifo', [join(directory, 'b/pipe')])
  await session.save({ exclude: ['a/two'] })
  expect(await listed()).toEqual(ifShown(directory, ['', 'a', 'b']))
  const saved = await session.save()
  expect(saved).toMatchObject({ added: { files: 1 }, excluded: [], skipped: [{ path: 'b/pipe' }] })
  expect(await session.save({ exclude: ['a/inner/*'] })).toMatchObject({
    removed: { files: 1 },
    excluded: ['a/inner/three'],
  })
})

it('takes no change time of another file system for what it says about names', () => {
  const inDevices = walk('/dev', emptyTree()).filter(({ path }) => path !== '' && !path.includes('/'))
  const { dev } = lstatSync('/dev', { bigint: true })
  for (const { path, stats } of inDevices)
    expect({ path, isTaken: stats !== null }).toEqual({
      path,
      isTaken: showsNamesInChangeTime('/dev') && lstatSync(join('/dev', path), { bigint: true }).dev === dev,
    })
  expect(showsNamesInChangeTime('/proc')).toBe(false)
  expect(showsNamesInChangeTime(join(temporaryDirectory(), 'absent'))).toBe(false)
})

it('saves what is there after any changes', async () => {
  const path = fc.constantFrom('a', 'b', 'a/b', 'a/b/c', 'b/c')
  const name = fc.constantFrom('x', 'y', 'z')
  const change = fc.record({ kind: fc.constantFrom('write', 'remove', 'move', 'drop', 'make'), path, name })
  const rounds = fc.array(fc.array(change, { maxLength: 4 }), { minLength: 2, maxLength: 4 })
  letTimePass()
  await fc.assert(
    fc.asyncProperty(rounds, async (all) => {
      const { directory, session } = await startKnown({ 'a/b/c/x': '', 'b/c/y': '', 'b/z': '' })
      const times = new Date(1_700_000_000_000)
      for (const changes of all) {
        const saved = await session.save()
        expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
        waitForTick(directory)
        for (const { kind, path, name } of changes) {
          const parent = join(directory, path)
          if (kind === 'drop') rmSync(parent, { recursive: true, force: true })
          else mkdirSync(parent, { recursive: true })
          if (kind === 'write') writeFileSync(join(parent, name), kind + name)
          if (kind === 'remove') rmSync(join(parent, name), { force: true })
          if (kind === 'move') {
            const moved = join(directory, `${name}-${path.replaceAll('/', '-')}`)
            rmSync(moved, { recursive: true, force: true })
            renameSync(parent, moved)
          }
          if (kind === 'write' || kind === 'remove') utimesSync(parent, times, times)
        }
      }
    }),
    { numRuns: 20 },
  )
})
