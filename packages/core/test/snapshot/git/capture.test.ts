import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { giveToStranger, makeDevice } from '../../support/foreign-files.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { openSnapshotBackend } from '../../../src/snapshot/open-snapshot-backend.ts'
import { changeList, createFixture, createScratch, fingerprint, runUserGit } from './git-fixture.ts'

describe('what a snapshot says', () => {
  it('equals HEAD in a clean repository and takes its tree id', async () => {
    const { open, git } = createFixture()
    const snapshot = await (await open()).capture({ label: 'before' })
    const head = git('rev-parse', 'HEAD').trim()
    const tree = git('rev-parse', 'HEAD^{tree}').trim()
    expect(snapshot).toMatchObject({ backend: 'git', label: 'before', ref: tree })
    expect(snapshot.metadata).toEqual({
      entries: 2,
      head,
      headRef: 'refs/heads/main',
      dirty: false,
      includesUntracked: true,
      tree,
      repositories: [],
      repository: snapshot.metadata.repository,
    })
    expect(snapshot.coverage).toMatchObject({ complete: true, examples: [], unstable: [] })
  })

  it('is dirty with an untracked, a changed or a deleted file', async () => {
    for (const edit of ['new', 'change', 'delete']) {
      const { open, write, path } = createFixture()
      if (edit === 'delete') unlinkSync(join(path, 'a.txt'))
      else write(edit === 'new' ? 'new.txt' : 'a.txt', 'other')
      expect((await (await open()).capture({ label: 'x' })).metadata.dirty).toBe(true)
    }
  })

  it('stays dirty while one file or another differs from HEAD, and no longer', async () => {
    const { open, write, git, ageFiles } = createFixture()
    ageFiles()
    const backend = await open()
    const isDirty = async () => (await backend.capture({ label: 'x' })).metadata.dirty
    expect(await isDirty()).toBe(false)
    git('update-index', '--refresh')
    const steps: readonly [string, string, boolean][] = [
      ['a.txt', 'changed', true],
      ['src/b.txt', 'changed too', true],
      ['a.txt', 'one\ntwo\n', true],
      ['src/b.txt', 'three\n', false],
      ['src/b.txt', 'once more', true],
    ]
    for (const [name, content, expected] of steps) {
      write(name, content)
      expect(await isDirty()).toBe(expected)
    }
    git('commit', '-q', '-a', '-m', 'second')
    expect(await isDirty()).toBe(false)
  })

  it('gives equal refs for equal states, also from another backend and after a detour', async () => {
    const { open, write } = createFixture()
    const backend = await open()
    const first = await backend.capture({ label: 'x' })
    write('a.txt', 'changed')
    const second = await backend.capture({ label: 'x' })
    write('a.txt', 'one\ntwo\n')
    const third = await (await open()).capture({ label: 'x' })
    expect(second.ref).not.toBe(first.ref)
    expect(third.ref).toBe(first.ref)
    expect(third.id).not.toBe(first.id)
  })

  it('changes its ref with permissions and empty directories, which git trees cannot hold (cases 24, 25)', async () => {
    const { open, path } = createFixture()
    const backend = await open()
    const refs = new Set<string>()
    const take = async () => refs.add((await backend.capture({ label: 'x' })).ref)
    await take()
    chmodSync(join(path, 'a.txt'), 0o600)
    await take()
    mkdirSync(join(path, 'empty'))
    await take()
    chmodSync(join(path, 'empty'), 0o700)
    await take()
    expect(refs.size).toBe(4)
  })

  it('works without commits, on a detached HEAD and in a SHA-256 repository (cases 34, 38)', async () => {
    const unborn = createFixture({ empty: true })
    const nothing = await (await unborn.open()).capture({ label: 'x' })
    expect(nothing.metadata).toMatchObject({
      head: null,
      headRef: 'refs/heads/main',
      dirty: false,
      entries: 0,
    })
    unborn.write('first.txt', 'x')
    const something = await (await unborn.open()).capture({ label: 'x' })
    expect(something.metadata).toMatchObject({ head: null, dirty: true, entries: 1 })
    const detached = createFixture()
    detached.git('checkout', '-q', '--detach')
    expect((await (await detached.open()).capture({ label: 'x' })).metadata).toMatchObject({
      headRef: null,
      dirty: false,
    })
    const long = createFixture({ format: 'sha256' })
    const snapshot = await (await long.open()).capture({ label: 'x' })
    expect(snapshot.ref).toBe(long.git('rev-parse', 'HEAD^{tree}').trim())
    expect(snapshot.ref).toHaveLength(64)
  })
})

describe('what a snapshot sees', () => {
  it('sees an edit made in the second in which the index was written (case 1)', async () => {
    const { open, write, git } = createFixture()
    write('a.txt', 'ONE\ntwo\n')
    git('add', 'a.txt')
    write('a.txt', 'UNO\ntwo\n')
    const backend = await open()
    const snapshot = await backend.capture({ label: 'x' })
    expect(git('hash-object', 'a.txt').trim()).toBe(await blobOf(backend, snapshot, 'a.txt'))
  })

  it('sees an edit of equal size with the old modification time, over and over (case 3)', async () => {
    const { open, write, path } = createFixture()
    const backend = await open()
    const refs = new Set<string>()
    const time = new Date(1_700_000_000_000)
    for (let round = 0; round < 20; round += 1) {
      write('a.txt', `round ${String(round).padStart(3)}`)
      utimesSync(join(path, 'a.txt'), time, time)
      refs.add((await backend.capture({ label: 'x' })).ref)
    }
    expect(refs.size).toBe(20)
  })

  it('sees such an edit against the index of the user too (case 3)', async () => {
    const { open, git, path } = createFixture()
    const target = join(path, 'a.txt')
    const time = new Date(1_700_000_000_000)
    utimesSync(target, time, time)
    git('update-index', '--refresh')
    writeFileSync(target, 'uno\ndos\n')
    utimesSync(target, time, time)
    const backend = await open()
    const snapshot = await backend.capture({ label: 'x' })
    expect(await blobOf(backend, snapshot, 'a.txt')).toBe(git('hash-object', 'a.txt').trim())
  })

  it('sees files marked assume-unchanged and skip-worktree, and with core.ignoreStat (cases 4, 5)', async () => {
    const { open, write, git } = createFixture()
    git('update-index', '--assume-unchanged', 'a.txt')
    git('update-index', '--skip-worktree', 'src/b.txt')
    git('config', 'core.ignoreStat', 'true')
    git('config', 'core.trustctime', 'false')
    git('config', 'core.checkStat', 'minimal')
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    write('a.txt', 'edited\n')
    write('src/b.txt', 'edited\n')
    expect(await changeList(backend, before, await backend.capture({ label: 'x' }))).toEqual([
      'modified a.txt',
      'modified src/b.txt',
    ])
  })

  it('keeps tracked files that are ignored, and follows them, when they are added and afterwards (cases 2, 13)', async () => {
    const { open, write, read, git } = createFixture()
    write('kept.log', 'tracked')
    git('add', '-f', 'kept.log')
    write('.gitignore', '*.log\n')
    write('left.log', 'not tracked')
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    expect(before.coverage.examples).toEqual([{ path: 'left.log', reason: 'ignored' }])
    write('kept.log', 'edited')
    expect(await changeList(backend, before, await backend.capture({ label: 'x' }))).toEqual([
      'modified kept.log',
    ])
    git('add', '-f', 'left.log')
    const after = await backend.capture({ label: 'x', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['modified kept.log', 'added left.log'])
    expect(await backend.rollback(before, { expected: after })).toMatchObject({
      restored: ['kept.log'],
      // It was there, and the snapshot does not hold it.
      deleted: [],
      verified: true,
    })
    expect([read('kept.log'), read('left.log')]).toEqual(['tracked', 'not tracked'])
  })

  it('keeps what it captured in view when the agent ignores it afterwards (case 10)', async () => {
    const { open, write, path } = createFixture()
    write('notes.txt', 'old')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('.gitignore', 'notes.txt\n')
    write('notes.txt', 'new')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['added .gitignore', 'modified notes.txt'])
    unlinkSync(join(path, 'notes.txt'))
    const gone = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, gone)).toEqual(['added .gitignore', 'deleted notes.txt'])
  })

  it('follows .gitignore, info/exclude and core.excludesFile, and their changes (cases 12, 14)', async () => {
    const { open, write, git, path, outside } = createFixture()
    const excludes = join(outside, 'excludes')
    writeFileSync(excludes, '*.global\n')
    git('config', 'core.excludesFile', excludes)
    writeFileSync(join(path, '.git/info/exclude'), '*.local\n')
    write('src/.gitignore', '*.deep\n')
    for (const name of ['x.global', 'x.local', 'src/x.deep', 'x.deep']) write(name, 'x')
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    expect(before.coverage.omitted.ignored).toBe(3)
    expect(before.metadata.entries).toBe(4)
    writeFileSync(excludes, '')
    writeFileSync(join(path, '.git/info/exclude'), '')
    expect(await changeList(backend, before, await backend.capture({ label: 'x' }))).toEqual([
      'added x.global',
      'added x.local',
    ])
  })

  it('sees new files next to a listing that was just taken', async () => {
    const { open, write, path } = createFixture()
    const backend = await open()
    for (let round = 0; round < 20; round += 1) {
      const before = await backend.capture({ label: 'x' })
      write(`src/n${round}`, '')
      expect(await changeList(backend, before, await backend.capture({ label: 'x' }))).toEqual([
        `added src/n${round}`,
      ])
      unlinkSync(join(path, `src/n${round}`))
    }
  })

  it('takes raw bytes under autocrlf, text, ident, encodings and filters (cases 15, 16, 17, 18)', async () => {
    const { open, write, git, ageFiles } = createFixture()
    write(
      '.gitattributes',
      '* text=auto\n*.id ident\n*.u16 working-tree-encoding=UTF-16LE\n*.big filter=missing\n',
    )
    git('config', 'core.autocrlf', 'true')
    git('config', 'filter.missing.required', 'true')
    git('config', 'filter.missing.clean', 'false')
    const contents: Record<string, string> = {
      'dos.txt': 'a\r\nb\r\n',
      'x.id': '$Id$\r\n',
      'x.u16': 'h\0i\0',
      'x.big': 'raw\r\n',
    }
    for (const [name, content] of Object.entries(contents)) write(name, content)
    git('add', 'dos.txt', 'x.id', 'x.u16')
    ageFiles()
    const backend = await open()
    const empty = await emptySnapshot(backend)
    const snapshot = await backend.capture({ label: 'x' })
    for (const [name, content] of Object.entries(contents)) {
      const change = (await backend.changes(empty, snapshot)).find(({ path }) => path === name)
      expect(change?.after?.size, name).toBe(content.length)
      expect(change?.after?.content, name).toBe(git('hash-object', '--no-filters', name).trim())
    }
  })

  it('takes raw bytes where a filter of equal length made the blob in the index (case 18)', async () => {
    const { open, write, git, ageFiles } = createFixture()
    write('.gitattributes', '*.up filter=upper\n')
    git('config', 'filter.upper.clean', 'tr a-z A-Z')
    write('x.up', 'small')
    git('add', 'x.up')
    ageFiles()
    const backend = await open()
    const snapshot = await backend.capture({ label: 'x' })
    expect(await blobOf(backend, snapshot, 'x.up')).toBe(git('hash-object', '--no-filters', 'x.up').trim())
    expect(git('rev-parse', ':x.up').trim()).not.toBe(git('hash-object', '--no-filters', 'x.up').trim())
  })

  it('takes raw bytes where only line endings differ from the blob in the index (case 16)', async () => {
    const { open, write, git, ageFiles } = createFixture()
    git('config', 'core.autocrlf', 'true')
    write('dos.txt', 'a\r\nb\r\n')
    git('add', 'dos.txt')
    ageFiles()
    const backend = await open()
    const snapshot = await backend.capture({ label: 'x' })
    expect(await blobOf(backend, snapshot, 'dos.txt')).toBe(
      git('hash-object', '--no-filters', 'dos.txt').trim(),
    )
  })

  it('does not call a file dirty that only differs by its line endings on check-in', async () => {
    const { open, write, git } = createFixture()
    git('config', 'core.autocrlf', 'true')
    write('dos.txt', 'a\r\nb\r\n')
    git('add', '-A')
    git('commit', '-q', '-m', 'dos')
    expect((await (await open()).capture({ label: 'x' })).metadata.dirty).toBe(false)
  })

  it('has any name: newline, quote, backslash, dash, magic, not UTF-8 (case 31)', async () => {
    const { open, path } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    const names = [
      'new\nline',
      'quo"te',
      'back\\slash',
      '-dash',
      ' space ',
      ':(top)',
      'tab\t',
      '*',
      'é',
      'e\u0301',
      '\udcff\udcfe',
    ]
    for (const name of names) {
      const bytes = name === '\udcff\udcfe' ? Buffer.from([0xff, 0xfe]) : Buffer.from(name)
      writeFileSync(Buffer.concat([Buffer.from(`${path}/`), bytes]), 'x')
    }
    const changes = await backend.changes(before, await backend.capture({ label: 'x' }))
    expect(changes.map((change) => change.path).toSorted()).toEqual(names.toSorted())
  })

  it('leaves the stages of a merge alone and reads the files as they are (cases 32, 33)', async () => {
    const { open, write, git } = createFixture()
    git('checkout', '-q', '-b', 'other')
    write('a.txt', 'theirs\n')
    git('commit', '-q', '-a', '-m', 'theirs')
    git('checkout', '-q', 'main')
    write('a.txt', 'ours\n')
    git('commit', '-q', '-a', '-m', 'ours')
    expect(() => git('merge', 'other')).toThrow()
    write('intended.txt', 'x')
    git('add', '--intent-to-add', 'intended.txt')
    const stages = git('ls-files', '--stage')
    const backend = await open()
    const snapshot = await backend.capture({ label: 'x' })
    expect(await blobOf(backend, snapshot, 'a.txt')).toBe(git('hash-object', 'a.txt').trim())
    expect(await blobOf(backend, snapshot, 'intended.txt')).toBe(git('hash-object', 'intended.txt').trim())
    expect(git('ls-files', '--stage')).toBe(stages)
  })

  it('reads split, sparse, version 4 and untracked-cache indexes; outside of a sparse checkout it sees what is there (cases 9, 37)', async () => {
    for (const mode of ['split', 'version4', 'untracked-cache', 'sparse']) {
      const { open, write, git, path } = createFixture()
      write('deep/dir/c.txt', 'c')
      git('add', '-A')
      git('commit', '-q', '-m', 'more')
      if (mode === 'split') git('update-index', '--split-index')
      if (mode === 'version4') git('update-index', '--index-version', '4')
      if (mode === 'untracked-cache') git('update-index', '--force-untracked-cache')
      if (mode === 'sparse') git('sparse-checkout', 'set', '--cone', '--sparse-index', 'src')
      write('ignored.log', 'x')
      git('add', '-f', 'ignored.log')
      writeFileSync(join(path, '.git/info/exclude'), '*.log\n')
      const backend = await open()
      const snapshot = await backend.capture({ label: 'x' })
      expect(snapshot.metadata.entries, mode).toBe(mode === 'sparse' ? 3 : 4)
      git('commit', '-q', '-m', 'ignored')
      const before = await backend.capture({ label: 'x' })
      expect(before.metadata.dirty, mode).toBe(false)
      if (mode === 'untracked-cache') git('status')
      write('deep/made/by-the-agent.txt', 'x')
      write('deep/dir/c.txt', 'written where it was left out')
      const after = await backend.capture({ label: 'x', previous: before })
      expect(await changeList(backend, before, after), mode).toEqual([
        `${mode === 'sparse' ? 'added' : 'modified'} deep/dir/c.txt`,
        'added deep/made/by-the-agent.txt',
      ])
      expect(await backend.rollback(before, { expected: after }), mode).toMatchObject({ verified: true })
      expect(existsSync(join(path, 'deep/dir/c.txt')), mode).toBe(mode !== 'sparse')
    }
  })

  it('follows no link: what a linked directory holds is not captured (case 28)', async () => {
    const { open, path, outside } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    writeFileSync(join(outside, 'b.txt'), 'outside')
    rmSync(join(path, 'src'), { recursive: true })
    symlinkSync(outside, join(path, 'src'))
    const after = await backend.capture({ label: 'x', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['added src', 'deleted src/b.txt'])
  })
})

describe('what a snapshot leaves out', () => {
  it('still follows captured files when their directory becomes a repository', async () => {
    const { open, write, path } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    runUserGit(path, 'init', '-q', 'src')
    write('src/b.txt', 'changed\n')
    const after = await backend.capture({ label: 'x', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['modified src/b.txt'])
    expect(after.metadata.repositories).toEqual([{ path: 'src', head: null, headRef: null }])
  })

  it('counts FIFOs, sockets and devices, and an ignored directory once (case 22)', async () => {
    const { open, write, path } = createFixture()
    execFileSync('mkfifo', [join(path, 'pipe'), join(path, 'src/pipe')])
    makeDevice(join(path, 'device'))
    const server = createServer().listen(join(path, 'socket'))
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    write('.gitignore', 'node_modules/\n')
    for (let number = 0; number < 5; number += 1) write(`node_modules/m${number}/index.js`, 'x')
    const { coverage } = await (await open()).capture({ label: 'x' })
    expect(coverage.omitted).toEqual({
      ignored: 1,
      'special-file': 4,
      unreadable: 0,
      'unsupported-name': 0,
      'too-large': 0,
      'over-total': 0,
    })
    expect(coverage.examples.map(({ path: name }) => name)).toEqual([
      'device',
      'node_modules',
      'pipe',
      'socket',
      'src/pipe',
    ])
  })

  it('holds an empty directory, also one with only ignored content', async () => {
    const { open, write, path } = createFixture()
    write('.gitignore', '*.log\n')
    mkdirSync(join(path, 'logs'))
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    write('logs/x.log', 'x')
    expect((await backend.capture({ label: 'x' })).ref).toBe(before.ref)
    rmSync(join(path, 'logs'), { recursive: true })
    expect(await changeList(backend, before, await backend.capture({ label: 'x' }))).toEqual([
      'deleted logs/',
    ])
  })
})

describe('which directory is captured', () => {
  it('is only the workspace when that is a directory inside the repository (case 36)', async () => {
    const { open, write, path, git } = createFixture()
    write('.gitignore', '*.log\n/src/out\n')
    write('src/x.log', 'x')
    write('src/out/x', 'x')
    write('outside.txt', 'x')
    git('add', '-A')
    git('commit', '-q', '-m', 'more')
    const backend = await open(join(path, 'src'))
    const before = await backend.capture({ label: 'x' })
    expect(before.metadata).toMatchObject({
      entries: 1,
      dirty: false,
      tree: git('rev-parse', 'HEAD:src').trim(),
    })
    expect(before.coverage.omitted.ignored).toBe(2)
    write('outside.txt', 'changed')
    write('src/c.txt', 'c')
    expect(await changeList(backend, before, await backend.capture({ label: 'x' }))).toEqual(['added c.txt'])
    write('.gitignore', '')
    expect(await changeList(backend, before, await backend.capture({ label: 'x' }))).toEqual([
      'added c.txt',
      'added out/x',
      'added x.log',
    ])
  })

  it('is none when the repository ignores the whole workspace', async () => {
    const { path, write, stateDirectory } = createFixture()
    write('.gitignore', 'scratch/\n')
    write('scratch/task/file.txt', 'x')
    write('[s]cratch/file.txt', 'x')
    expect(await openGitBackend({ path: join(path, 'scratch/task'), stateDirectory })).toBeNull()
    expect(await openGitBackend({ path: join(path, '[s]cratch'), stateDirectory })).not.toBeNull()
    const task = { path: join(path, 'scratch/task'), stateDirectory }
    await expect(openSnapshotBackend({ ...task, strategy: 'git' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('is ignored by the git repository'),
    })
    expect((await openSnapshotBackend({ ...task, strategy: 'auto' })).name).toBe('hash')
  })

  it('may be a linked work tree, whose index is its own (case 35)', async () => {
    const { open, git, path } = createFixture()
    git('worktree', 'add', '-q', '-b', 'linked', join(path, '..', 'linked'))
    const linked = join(path, '..', 'linked')
    writeFileSync(join(linked, 'own.txt'), 'x')
    const snapshot = await (await open(linked)).capture({ label: 'x' })
    expect(snapshot.metadata).toMatchObject({ entries: 3, headRef: 'refs/heads/linked', dirty: true })
  })

  it('is not mistaken through GIT variables of the caller (case 77)', async () => {
    const { open, outside } = createFixture()
    runUserGit(outside, 'init', '-q')
    const settings = {
      GIT_DIR: join(outside, '.git'),
      GIT_WORK_TREE: outside,
      GIT_INDEX_FILE: join(outside, 'i'),
      GIT_OBJECT_DIRECTORY: outside,
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'core.bare',
      GIT_CONFIG_VALUE_0: 'true',
    }
    Object.assign(process.env, settings)
    try {
      const snapshot = await (await open()).capture({ label: 'x' })
      expect(snapshot.metadata).toMatchObject({ entries: 2, dirty: false })
    } finally {
      for (const name of Object.keys(settings)) delete process.env[name]
    }
  })

  it('may belong to another user, and nobody has to say in a configuration that this is safe (case 80)', async () => {
    const { open, path, outside, git } = createFixture()
    giveToStranger(path)
    expect(() => git('status')).toThrow(/dubious ownership/)
    vi.stubEnv('HOME', outside)
    vi.stubEnv('XDG_CONFIG_HOME', '')
    onTestFinished(() => void vi.unstubAllEnvs())
    const repository = fingerprint(join(path, '.git'))
    expect((await (await open()).capture({ label: 'x' })).metadata).toMatchObject({
      entries: 2,
      dirty: false,
    })
    expect(readdirSync(outside)).toEqual([])
    expect(fingerprint(join(path, '.git'))).toEqual(repository)
  })

  it('is none outside of a work tree, and an error in a bare or broken repository', async () => {
    const scratch = createScratch()
    const stateDirectory = join(scratch, 'state')
    mkdirSync(join(scratch, 'plain'))
    expect(await openGitBackend({ path: join(scratch, 'plain'), stateDirectory })).toBeNull()
    runUserGit(scratch, 'init', '-q', '--bare', 'bare')
    await expect(openGitBackend({ path: join(scratch, 'bare'), stateDirectory })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    runUserGit(scratch, 'init', '-q', 'broken')
    renameSync(join(scratch, 'broken/.git/HEAD'), join(scratch, 'HEAD'))
    await expect(openGitBackend({ path: join(scratch, 'broken'), stateDirectory })).rejects.toMatchObject({
      code: 'CORRUPT',
    })
    expect(existsSync(stateDirectory)).toBe(false)
  })

  it('keeps its state private', async () => {
    const { open, stateDirectory } = createFixture()
    await (await open()).capture({ label: 'x' })
    for (const name of ['git', 'git/sha1', 'git/sha1/objects'])
      expect(lstatSync(join(stateDirectory, name)).mode & 0o077).toBe(0)
  })
})

type Backend = Awaited<ReturnType<ReturnType<typeof createFixture>['open']>>

/** A snapshot of the same workspace without anything in it. */
async function emptySnapshot(backend: Backend) {
  const snapshot = await backend.capture({ label: 'x' })
  return { ...snapshot, ref: emptyTree(snapshot.ref) }
}

function emptyTree(ref: string): string {
  return ref.length === 64
    ? '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321'
    : '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
}

async function blobOf(backend: Backend, snapshot: Awaited<ReturnType<Backend['capture']>>, name: string) {
  const changes = await backend.changes({ ...snapshot, ref: emptyTree(snapshot.ref) }, snapshot)
  return changes.find(({ path }) => path === name)?.after?.content
}
