import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  changeList,
  collect,
  createFixture,
  describeTree,
  fingerprint,
  runUserGit,
  type Fixture,
} from '../git/git-fixture.ts'

/** A repository inside the workspace, with `code.txt` committed and `build/` ignored. */
function addRepository({ path, write }: Fixture, name: string): (...args: string[]) => string {
  runUserGit(path, 'init', '-q', '-b', 'trunk', name)
  const git = (...args: string[]) => runUserGit(join(path, name), ...args)
  write(`${name}/code.txt`, 'first\n')
  write(`${name}/.gitignore`, 'build/\n')
  git('add', '-A')
  git('commit', '-q', '-m', 'inner')
  return git
}

/** A submodule at `sub` with `lib.txt` in it, committed. */
function addSubmodule(fixture: Fixture): void {
  const { outside, git } = fixture
  runUserGit(outside, 'init', '-q', '-b', 'main')
  writeFileSync(join(outside, 'lib.txt'), 'library\n')
  runUserGit(outside, 'add', '-A')
  runUserGit(outside, 'commit', '-q', '-m', 'library')
  git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', outside, 'sub')
  git('commit', '-q', '-m', 'submodule')
}

function tree(path: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(describeTree(path)).filter(([name]) => !name.split('/').includes('.git')),
  )
}

describe('repositories inside the workspace', () => {
  it.each([
    ['sha1', 'sha256'],
    ['sha256', 'sha1'],
  ])('are captured whole in one of %s that name their objects by %s (cases 7, 38)', async (format, other) => {
    const fixture = createFixture({ format })
    const { open, write, path } = fixture
    runUserGit(path, 'init', '-q', `--object-format=${other}`, 'inner')
    write('inner/code.txt', 'first\n')
    runUserGit(join(path, 'inner'), 'add', '-A')
    runUserGit(join(path, 'inner'), 'commit', '-q', '-m', 'inner')
    const later = new Date(Date.now() + 60_000)
    utimesSync(join(path, 'inner/.git/index'), later, later)
    const original = tree(path)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'inner/code.txt'))
    expect(await backend.rollback(before)).toMatchObject({ restored: ['inner/code.txt'] })
    expect(tree(path)).toEqual(original)
  })

  it('are captured with their own ignore rules, whether or not they have commits (cases 6, 7)', async () => {
    const fixture = createFixture()
    const { open, write, path } = fixture
    write('.gitignore', '*.log\n')
    addRepository(fixture, 'vendor/full')
    runUserGit(path, 'init', '-q', 'empty')
    write('empty/new.log', 'the rules of the outer repository do not count here')
    write('vendor/full/build/out.o', 'ignored by the inner repository')
    writeFileSync(join(path, 'vendor/full/.git/info/exclude'), '*.tmp\n')
    write('vendor/full/x.tmp', 'ignored by its own exclude file')
    const backend = await open()
    const first = await backend.capture({ label: 'x' })
    const second = await backend.capture({ label: 'x' })
    expect(second.ref).toBe(first.ref)
    expect(first.metadata.repositories).toEqual([
      { path: 'empty', head: null, headRef: null },
      {
        path: 'vendor/full',
        head: runUserGit(join(path, 'vendor/full'), 'rev-parse', 'HEAD').trim(),
        headRef: 'refs/heads/trunk',
      },
    ])
    expect(first.coverage.examples).toEqual([
      { path: 'vendor/full/build', reason: 'ignored' },
      { path: 'vendor/full/x.tmp', reason: 'ignored' },
    ])
    write('vendor/full/code.txt', 'second\n')
    write('vendor/full/deep/new.txt', 'new\n')
    unlinkSync(join(path, 'empty/new.log'))
    const after = await backend.capture({ label: 'x', previous: first })
    expect(await changeList(backend, first, after)).toEqual([
      // The directory shows because it is empty now, but for its .git.
      'added empty/',
      'deleted empty/new.log',
      'modified vendor/full/code.txt',
      'added vendor/full/deep/new.txt',
    ])
  })

  it('are seen inside each other, and in ignored directories where the index names them (case 7)', async () => {
    const fixture = createFixture()
    const { open, write, git, path } = fixture
    addRepository(fixture, 'outer')
    addRepository(fixture, 'outer/mid')
    addRepository(fixture, 'outer/mid/inner')
    addRepository(fixture, 'ignored/known')
    addRepository(fixture, 'ignored/unknown')
    write('ignored/plain.txt', 'x')
    git('add', 'ignored/known')
    git('commit', '-q', '-m', 'gitlink')
    write('.gitignore', 'ignored/\n')
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    expect(before.metadata.repositories?.map((each) => each.path)).toEqual([
      'ignored/known',
      'outer',
      'outer/mid',
      'outer/mid/inner',
    ])
    expect(before.coverage.examples).toEqual([
      { path: 'ignored/plain.txt', reason: 'ignored' },
      { path: 'ignored/unknown', reason: 'ignored' },
    ])
    for (const name of ['outer', 'outer/mid', 'outer/mid/inner', 'ignored/known'])
      write(`${name}/code.txt`, 'second\n')
    const after = await backend.capture({ label: 'x', previous: before })
    expect(await changeList(backend, before, after)).toEqual(
      ['ignored/known', 'outer', 'outer/mid', 'outer/mid/inner']
        .map((name) => `modified ${name}/code.txt`)
        .toSorted(),
    )
    await backend.rollback(before)
    for (const name of ['outer', 'outer/mid', 'outer/mid/inner', 'ignored/known'])
      expect(runUserGit(join(path, name), 'diff', '--', 'code.txt'), name).toBe('')
  })

  it('come back by patch and by rollback, and their .git stays byte for byte (case 7)', async () => {
    const fixture = createFixture()
    const { open, write, path } = fixture
    addRepository(fixture, 'lib')
    write('lib/loose.txt', 'untracked\n', 0o600)
    mkdirSync(join(path, 'lib/void'))
    write('lib/build/out.o', 'ignored')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const [original, repository] = [tree(path), fingerprint(join(path, 'lib/.git'))]
    write('lib/code.txt', 'edited\n')
    write('lib/made/by/agent.bin', Buffer.from([0, 1, 2, 255]))
    unlinkSync(join(path, 'lib/loose.txt'))
    rmSync(join(path, 'lib/void'), { recursive: true })
    write('lib/build/out.o', 'built anew')
    const after = await backend.capture({ label: 'after', previous: before })
    const edited = tree(path)
    const patch = await collect(backend.patch(before, after))
    const result = await backend.rollback(before, { expected: after })
    expect(result.verified).toBe(true)
    expect(tree(path)).toEqual({ ...original, 'lib/build/out.o': edited['lib/build/out.o'] })
    writeFileSync(join(fixture.outside, 'patch'), patch)
    execFileSync('git', ['apply', join(fixture.outside, 'patch')], { cwd: path })
    const reached = await backend.capture({ label: 'again', previous: before })
    expect(await changeList(backend, after, reached)).toEqual(['added lib/void/'])
    expect(fingerprint(join(path, 'lib/.git'))).toEqual(repository)
  })

  it('lose what the agent made in them and keep their .git, when the agent created them (case 7)', async () => {
    const fixture = createFixture()
    const { open, path, write } = fixture
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    addRepository(fixture, 'made')
    write('made/build/out.o', 'ignored')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['added made/.gitignore', 'added made/code.txt'])
    const repository = fingerprint(join(path, 'made/.git'))
    const result = await backend.rollback(before, { expected: after })
    expect(result).toMatchObject({ deleted: ['made/.gitignore', 'made/code.txt'], verified: true })
    expect(Object.keys(tree(join(path, 'made')))).toEqual(['build', 'build/out.o'])
    expect(fingerprint(join(path, 'made/.git'))).toEqual(repository)
  })

  it('get their files back when the agent removed them, but no .git, which no snapshot holds (case 7)', async () => {
    const fixture = createFixture()
    const { open, path } = fixture
    addRepository(fixture, 'lib')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const original = tree(path)
    rmSync(join(path, 'lib'), { recursive: true })
    const after = await backend.capture({ label: 'after', previous: before })
    expect((await backend.rollback(before, { expected: after })).verified).toBe(true)
    expect(tree(path)).toEqual(original)
    expect(existsSync(join(path, 'lib/.git'))).toBe(false)
  })

  it('stay in view when the agent removes their .git, and the rules around them count from then on (cases 7, 10)', async () => {
    const fixture = createFixture()
    const { open, write, path } = fixture
    write('.gitignore', '*.txt\nbuild/\n')
    addRepository(fixture, 'lib')
    write('lib/build/out.o', 'precious')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const original = tree(path)
    rmSync(join(path, 'lib/.git'), { recursive: true })
    write('lib/code.txt', 'edited\n')
    write('lib/late.txt', 'ignored by the outer rules\n')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(after.metadata.repositories).toEqual([])
    expect(await changeList(backend, before, after)).toEqual(['modified lib/code.txt'])
    expect((await backend.rollback(before, { expected: after })).verified).toBe(true)
    expect(tree(path)).toEqual({ ...original, 'lib/late.txt': tree(path)['lib/late.txt'] })
  })

  it('are no repositories where their .git is none, and that .git is left alone all the same (case 7)', async () => {
    const fixture = createFixture()
    const { open, write, path, outside } = fixture
    write('.gitignore', '*.log\n')
    write('odd/.git/notes', 'no repository')
    write('odd/x.log', 'ignored by the outer rules')
    write('odd/x.txt', 'captured')
    write('link/.git', 'gitdir: ../nowhere\n')
    write('link/y.txt', 'captured')
    mkdirSync(join(outside, 'pipe'))
    mkdirSync(join(path, 'pipe'))
    execFileSync('mkfifo', [join(path, 'pipe/.git')])
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    expect(before.metadata).toMatchObject({ entries: 6, repositories: [] })
    write('odd/x.txt', 'edited')
    await backend.rollback(before)
    expect(fixture.read('odd/.git/notes')).toBe('no repository')
    expect(fixture.read('link/.git')).toBe('gitdir: ../nowhere\n')
  })

  it('cannot name a place outside by a hostile HEAD, index or exclude file (case 7)', async () => {
    const fixture = createFixture()
    const { open, path } = fixture
    addRepository(fixture, 'lib')
    for (const name of ['index', 'info/exclude', 'packed-refs', 'config']) {
      rmSync(join(path, 'lib/.git', name), { force: true })
      execFileSync('mkfifo', [join(path, 'lib/.git', name)])
    }
    writeFileSync(join(path, 'lib/.git/HEAD'), 'ref: refs/heads/../../../../outside\n')
    const snapshot = await (await open()).capture({ label: 'x' })
    expect(snapshot.metadata).toMatchObject({
      entries: 4,
      repositories: [{ path: 'lib', head: null, headRef: null }],
    })
  })
})

describe('submodules', () => {
  it('are captured clean, dirty and without commits of their own (cases 7, 8)', async () => {
    const fixture = createFixture()
    const { open, write, path, git } = fixture
    addSubmodule(fixture)
    const backend = await open()
    const clean = await backend.capture({ label: 'clean' })
    expect(clean.metadata).toMatchObject({
      entries: 4,
      dirty: false,
      repositories: [{ path: 'sub', head: git('rev-parse', 'HEAD:sub').trim() }],
    })
    const modules = fingerprint(join(path, '.git/modules/sub'))
    write('sub/lib.txt', 'dirty\n')
    write('sub/new.txt', 'untracked\n')
    const dirty = await backend.capture({ label: 'dirty', previous: clean })
    expect(await changeList(backend, clean, dirty)).toEqual(['modified sub/lib.txt', 'added sub/new.txt'])
    expect((await backend.rollback(clean, { expected: dirty })).verified).toBe(true)
    expect(fixture.read('sub/lib.txt')).toBe('library\n')
    expect(existsSync(join(path, 'sub/new.txt'))).toBe(false)
    expect(fingerprint(join(path, '.git/modules/sub'))).toEqual(modules)
    expect(fixture.read('sub/.git')).toBe('gitdir: ../.git/modules/sub\n')
  })

  it('that move their HEAD show the files that changed with it, and the new HEAD (case 8)', async () => {
    const fixture = createFixture()
    const { open, path, write } = fixture
    addSubmodule(fixture)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const inner = (...args: string[]) => runUserGit(join(path, 'sub'), ...args)
    write('sub/lib.txt', 'next\n')
    inner('commit', '-q', '-a', '-m', 'next')
    const head = inner('rev-parse', 'HEAD').trim()
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['modified sub/lib.txt'])
    expect(after.metadata.repositories?.[0]?.head).toBe(head)
    expect(before.metadata.repositories?.[0]?.head).not.toBe(head)
    await backend.rollback(before, { expected: after })
    expect(fixture.read('sub/lib.txt')).toBe('library\n')
    expect(inner('rev-parse', 'HEAD').trim()).toBe(head)
  })

  it('that were never fetched are empty directories (case 8)', async () => {
    const fixture = createFixture()
    const { open, git, path } = fixture
    addSubmodule(fixture)
    git('submodule', '--quiet', 'deinit', '-f', 'sub')
    const snapshot = await (await open()).capture({ label: 'x' })
    expect(snapshot.metadata).toMatchObject({ entries: 4, repositories: [], dirty: false })
    expect(existsSync(join(path, 'sub'))).toBe(true)
  })
})

describe('work trees', () => {
  it('that are linked and lie in the workspace are captured as repositories of their own (cases 7, 35)', async () => {
    const fixture = createFixture()
    const { open, git, write, path } = fixture
    git('worktree', 'add', '-q', '-b', 'side', 'side')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    expect(before.metadata.repositories).toMatchObject([{ path: 'side', headRef: 'refs/heads/side' }])
    const repository = fingerprint(join(path, '.git'))
    write('side/a.txt', 'edited\n')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['modified side/a.txt'])
    await backend.rollback(before, { expected: after })
    expect(fixture.read('side/a.txt')).toBe('one\ntwo\n')
    expect(fingerprint(join(path, '.git'))).toEqual(repository)
  })

  it('move as a whole, and are then new files in the new place (case 7)', async () => {
    const fixture = createFixture()
    const { open, path } = fixture
    addRepository(fixture, 'lib')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    renameSync(join(path, 'lib'), join(path, 'moved'))
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual([
      'deleted lib/.gitignore',
      'deleted lib/code.txt',
      'added moved/.gitignore',
      'added moved/code.txt',
    ])
    await backend.rollback(before, { expected: after })
    expect(fixture.read('lib/code.txt')).toBe('first\n')
    expect(existsSync(join(path, 'moved/.git/HEAD'))).toBe(true)
  })
})
