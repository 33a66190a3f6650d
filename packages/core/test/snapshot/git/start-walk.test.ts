import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { shareRows, rowsWith } from '../../../src/snapshot/git/table/shared-rows.ts'
import { sharedNumbers, sharePaths } from '../../../src/snapshot/git/table/shared-columns.ts'
import { startWalk } from '../../../src/snapshot/git/walk/start-walk.ts'
import { findUserRepository } from '../../../src/snapshot/git/user/user-repository.ts'
import { walkWorkspace, type Walk } from '../../../src/snapshot/git/walk/walk-workspace.ts'
import { parsePreciousRules } from '../../../src/snapshot/precious-rules.ts'
import { CHANGED } from '../../../src/snapshot/git/table/changed-rows.ts'
import { createFixture, runUserGit, type Fixture } from './git-fixture.ts'

/** What a walk can meet. */
function fill({ path, write }: Fixture): void {
  write('.gitignore', 'node_modules\n*.log\n!kept.log\n')
  for (const name of ['kept.log', 'left.log', '.env', 'node_modules/a/index.js', 'node_modules/a/.env'])
    write(name, name)
  for (const name of ['deep/er/and/deeper', 'deep.file', 'deep-er', 'CON/aux', 'src/.gitignore'])
    write(name, '')
  writeFileSync(Buffer.from(join(path, 'not-\u00ff'), 'latin1'), '')
  symlinkSync('nowhere', join(path, 'link'))
  mkdirSync(join(path, 'empty'))
  runUserGit(path, 'init', '-q', 'inner')
  write('inner/.gitignore', 'secret\n')
  write('inner/secret', '')
  write('inner/shown', '')
}

async function sourceOf({ path, stateDirectory }: Fixture) {
  const user = await findUserRepository(path, stateDirectory)
  if (typeof user === 'string') throw new Error(user)
  const precious = parsePreciousRules(['.env', 'node_modules/a/.env'])
  return { path, user, precious, gitlinks: [], pause: () => undefined }
}

/** Whether a directory has settled depends on when it was read. */
const described = (walk: Walk | null | undefined) =>
  [...(walk?.directories ?? [])].map(([path, directory]) => [path, { ...directory, settled: null }])

it('a walk by a thread finds what a walk by this one finds, and the thread then looks at files', async () => {
  const fixture = createFixture()
  fill(fixture)
  const source = await sourceOf(fixture)
  const expected = await walkWorkspace(source, null)
  const started = startWalk(source, { indexBytesForThreads: 0 })
  if (availableParallelism() < 2) {
    expect(started).toBe(null)
    return
  }
  while (started?.isDone() === false) await nextTurn()
  expect(started?.isTaken()).toBe(true)
  const walk = await started?.finish(null)
  expect(described(walk)).toEqual(described(expected))
  expect(walk?.unreadableDirectories).toEqual(expected.unreadableDirectories)
  expect(walk?.files()).toEqual(expected.files())
  expect(walk?.files()).toContain('node_modules/a/.env')

  const paths = expected.files()
  const known = { paths, rows: sharePaths(paths) }
  expect((await started?.finish(known))?.files()).toBe(paths)
  const others = [...paths.slice(0, -1), 'zzz']
  expect((await started?.finish({ paths: others, rows: sharePaths(others) }))?.files()).toEqual(paths)

  const rows = shareRows(fixture.path, paths.length)
  const columns = { ...sharePaths(paths), ...sharedNumbers(paths.length) }
  await started?.thenLook({ ...rows, kind: 'compare', columns })
  expect([...rowsWith(rows, CHANGED)]).toHaveLength(paths.length)
})

it('a walk that no thread has begun is left to the caller', async () => {
  const fixture = createFixture()
  const source = await sourceOf(fixture)
  expect(startWalk(source)).toBe(null)
  const started = startWalk(source, { indexBytesForThreads: 0 })
  if (started === null) return
  const isTaken = started.isTaken()
  const walk = await started.finish(null)
  expect(walk === null).toBe(!isTaken)
  started.stop()
  const stopped = startWalk(source, { indexBytesForThreads: 0 })
  stopped?.stop()
  expect(await stopped?.finish(null)).toBe(null)
})

it('a first snapshot is the same whoever walks, with another repository in an ignored directory', async () => {
  const fixture = createFixture()
  const { path, git, write, ageFiles } = fixture
  const directory = 'd'.repeat(240)
  for (let number = 0; number < 1400; number += 1) write(`${directory}/${'f'.repeat(200)}${number}`, '')
  runUserGit(path, 'init', '-q', 'vendor/library')
  write('vendor/library/file', 'committed in there')
  runUserGit(join(path, 'vendor/library'), 'add', '-A')
  runUserGit(join(path, 'vendor/library'), 'commit', '-q', '-m', 'library')
  git('add', '-A')
  git('commit', '-q', '-m', 'many')
  write('.gitignore', 'vendor\n')
  write('a.txt', 'edited\n')
  write('new/untracked', '')
  ageFiles()
  const captureAnew = async (state: string) => {
    const stateDirectory = join(fixture.stateDirectory, state)
    mkdirSync(stateDirectory)
    const backend = await openGitBackend({ path, stateDirectory })
    const snapshot = await backend?.capture({ label: 'first' })
    return { ref: snapshot?.ref, coverage: snapshot?.coverage }
  }
  const first = await captureAnew('1')
  expect(first.coverage?.captured).toBeGreaterThan(1400)
  // By now a thread is there, which begins at once.
  for (const state of ['2', '3']) expect(await captureAnew(state)).toEqual(first)
  const tree = first.ref?.split('.')[0] ?? ''
  const names = runUserGit(
    path,
    `--git-dir=${join(fixture.stateDirectory, '3/git/sha1')}`,
    'ls-tree',
    '-r',
    '--name-only',
    tree,
  )
  expect(names).toContain('vendor/library/file')
  expect(names).toContain('new/untracked')
})

it('a first snapshot holds what is there, where the index knows other modes and more directories', async () => {
  const { path, git, write, open, ageFiles, stateDirectory } = createFixture()
  git('config', 'core.fileMode', 'false')
  write('stays/one', 'one', 0o755)
  write('gone/deep/two', 'two')
  // So many that trees are not all built anew.
  for (let number = 10; number < 50; number += 1) write(`usual/${number}`, '')
  git('add', '-A')
  git('commit', '-q', '-m', 'more')
  rmSync(join(path, 'gone'), { recursive: true })
  ageFiles()
  const { ref } = await (await open()).capture({ label: 'first' })
  const tree = ref.split('.')[0] ?? ''
  const list = runUserGit(path, `--git-dir=${join(stateDirectory, 'git/sha1')}`, 'ls-tree', '-r', tree)
  const found = list
    .trim()
    .split('\n')
    .map((line) => line.replace(/ blob [0-9a-f]+\t/, ' '))
    .filter((line) => !line.includes('usual/'))
  expect(found).toEqual(['100644 a.txt', '100644 src/b.txt', '100755 stays/one'])
})
