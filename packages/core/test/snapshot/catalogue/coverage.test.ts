import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { localStore } from '@ws/store-local'
import {
  createArtifactStore,
  createBundleStore,
  decodePatch,
  executeRun,
  withPrefix,
  Workspace,
  type CaptureLimits,
  type Snapshot,
} from '../../../src/index.ts'
import { runUserGit } from '../git/git-fixture.ts'

type Backend = 'git' | 'bundle'

interface Options {
  readonly limits?: CaptureLimits
  readonly precious?: readonly string[]
}

function createWorkspace(backend: Backend, options: Options = {}) {
  const base = mkdtempSync(join(tmpdir(), 'ws-coverage-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  const path = join(base, 'work')
  mkdirSync(path)
  const write = (name: string, content: string | Uint8Array) => {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), content)
    chmodSync(join(path, name), 0o644)
  }
  if (backend === 'git') runUserGit(path, 'init', '-q', '-b', 'main')
  const open = (more: Options = options) =>
    new Workspace({ id: 'w', path, stateDir: join(base, 'state'), ...more })
  const workspace = open()
  const snapshot = (previous?: Snapshot) => workspace.snapshot({ strategy: backend, previous })
  const read = (name: string) => readFileSync(join(path, name), 'utf8')
  return { base, path, write, read, open, workspace, snapshot }
}

describe.each<Backend>(['git', 'bundle'])('limits of %s snapshots', (backend) => {
  it('leave out a new file over maxFileBytes: reported, not in the diff, and no rollback touches it (case 69)', async () => {
    const { write, read, path, workspace, snapshot } = createWorkspace(backend, {
      limits: { maxFileBytes: 100 },
    })
    write('small.txt', 'small')
    write('big.bin', 'b'.repeat(101))
    const before = await snapshot()
    expect(before.coverage).toMatchObject({
      complete: false,
      captured: 1,
      omitted: { 'too-large': 1 },
      examples: [{ path: 'big.bin', reason: 'too-large' }],
    })
    expect((await snapshot()).ref).toBe(before.ref)
    write('big.bin', 'c'.repeat(102))
    write('made.bin', 'm'.repeat(500))
    write('small.txt', 'edited')
    const after = await snapshot(before)
    expect(after.coverage.omitted['too-large']).toBe(2)
    expect((await workspace.diff(before, after)).changedPaths).toEqual(['small.txt'])
    expect(await workspace.rollback(before, { expected: after })).toMatchObject({
      restored: ['small.txt'],
      deleted: [],
      verified: true,
    })
    expect(read('big.bin')).toBe('c'.repeat(102))
    expect(existsSync(join(path, 'made.bin'))).toBe(true)
  })

  it('go on capturing a captured file that grows over maxFileBytes (case 69)', async () => {
    const { write, read, workspace, snapshot } = createWorkspace(backend, { limits: { maxFileBytes: 100 } })
    write('log.txt', 'a'.repeat(90))
    const before = await snapshot()
    write('log.txt', 'a'.repeat(900))
    const after = await snapshot(before)
    expect(after.coverage.complete).toBe(true)
    expect((await workspace.diff(before, after)).changedPaths).toEqual(['log.txt'])
    await workspace.rollback(before, { expected: after })
    expect(read('log.txt')).toBe('a'.repeat(90))
  })

  it.each<[string, CaptureLimits]>([
    ['maxDeltaBytes', { maxDeltaBytes: 1000 }],
    ['maxFiles', { maxFiles: 10 }],
  ])(
    'stop at %s over many small files, stay the same in the next capture, and follow a new limit (case 70)',
    async (_name, limits) => {
      const { write, path, open, workspace, snapshot } = createWorkspace(backend, { limits })
      for (let number = 0; number < 50; number += 1) write(`f/${number}`, 'x'.repeat(100))
      const before = await snapshot()
      expect(before.coverage).toMatchObject({ captured: 10, omitted: { 'over-total': 40 } })
      const again = await snapshot()
      expect(again.ref).toBe(before.ref)
      expect(again.coverage).toEqual(before.coverage)
      write('new.txt', 'x')
      const after = await snapshot(before)
      expect((await workspace.diff(before, after)).changedPaths).toEqual(['new.txt'])
      await workspace.rollback(before, { expected: after })
      for (let number = 0; number < 50; number += 1) expect(existsSync(join(path, `f/${number}`))).toBe(true)
      const wide = await open({ limits: { maxDeltaBytes: 1e6, maxFiles: 1000 } }).snapshot({
        strategy: backend,
      })
      expect(wide.coverage.captured).toBe(50)
      expect(wide.coverage.omitted['over-total']).toBe(0)
    },
  )

  it('hold a file again that was left out, once it is small enough, among names on both sides (case 69)', async () => {
    const { write, read, path, workspace, snapshot } = createWorkspace(backend, {
      limits: { maxFileBytes: 100 },
    })
    for (const name of 'abcdefghij') write(name, 'f'.repeat('cg'.includes(name) ? 101 : 10))
    expect((await snapshot()).coverage).toMatchObject({ captured: 8, omitted: { 'too-large': 2 } })
    write('c', 'small')
    write('g', 'small too')
    const small = await snapshot()
    expect(small.coverage).toMatchObject({ captured: 10, complete: true })
    for (const name of 'cg') rmSync(join(path, name))
    expect((await workspace.diff(small)).changedPaths).toEqual(['c', 'g'])
    expect((await workspace.rollback(small)).restored).toEqual(['c', 'g'])
    expect([read('c'), read('g')]).toEqual(['small', 'small too'])
  })

  it('leave a file alone that took the place of a captured directory and is over the limit (cases 52, 69)', async () => {
    const { write, read, path, workspace, snapshot } = createWorkspace(backend, {
      limits: { maxFileBytes: 100 },
    })
    write('place/file', 'captured')
    write('kept', 'kept')
    const first = await snapshot()
    rmSync(join(path, 'place'), { recursive: true })
    write('place', 'l'.repeat(101))
    const left = await snapshot(first)
    expect(left.coverage.examples).toEqual([{ path: 'place', reason: 'too-large' }])
    write('place', 'small by now')
    expect(await workspace.rollback(left)).toMatchObject({ restored: [], deleted: [] })
    expect(read('place')).toBe('small by now')
  })

  it.each<[string, CaptureLimits]>([
    ['maxFileBytes', { maxFileBytes: 100 }],
    ['maxDeltaBytes', { maxDeltaBytes: 1000 }],
    ['maxFiles', { maxFiles: 3 }],
  ])(
    'never stand between a rollback and what a snapshot holds by now, nor its proof: %s (cases 57, 69, 70)',
    async (_name, limits) => {
      const { write, read, path, workspace, snapshot } = createWorkspace(backend, { limits })
      const names = ['1', '2', '3', '4', '5', '6']
      for (const name of names) {
        write(name, 'x'.repeat(90))
        await snapshot()
        write(name, 'x'.repeat(900))
        await snapshot()
      }
      const held = await snapshot()
      expect(held.coverage).toMatchObject({ captured: 6, complete: true })
      for (const name of names) rmSync(join(path, name))
      expect((await snapshot(held)).coverage).toMatchObject({ captured: 0, complete: true })
      write('made', 'by the agent')
      await expect(
        workspace.rollback(held, {
          onProgress: ({ phase, filesDone }) => {
            if (phase === 'write' && filesDone === names.length) write('3', 'y'.repeat(900))
          },
        }),
      ).rejects.toMatchObject({ code: 'CONFLICT', details: { paths: ['3'] } })
      expect(readdirSync(path).filter((name) => name !== '.git')).toEqual(['made'])
      const undone = await workspace.rollback(held)
      expect(undone).toMatchObject({ restored: names, verified: true })
      for (const name of names) expect(read(name)).toHaveLength(900)
      expect((await snapshot()).ref).toBe(held.ref)
    },
  )

  it('refuse to put back a file where one now stands that is over the limit (cases 53, 69)', async () => {
    const { write, read, workspace, snapshot, path } = createWorkspace(backend, {
      limits: { maxFileBytes: 100 },
    })
    write('data', 'small')
    const before = await snapshot()
    rmSync(join(path, 'data'))
    const gone = await snapshot(before)
    write('data', 'big'.repeat(100))
    await expect(
      workspace.rollback(before, { expected: gone, onForeignEdits: 'overwrite' }),
    ).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(read('data')).toBe('big'.repeat(100))
  })
})

describe('limits', () => {
  it('take the smallest new files first, and what is captured already before all of them (case 70)', async () => {
    const { write, workspace, snapshot } = createWorkspace('git', { limits: { maxDeltaBytes: 100 } })
    write('known', 'k'.repeat(80))
    const before = await snapshot()
    write('known', 'K'.repeat(90))
    write('a-large', 'x'.repeat(60))
    write('b-small', 'x'.repeat(5))
    const after = await snapshot(before)
    expect((await workspace.diff(before, after)).changedPaths).toEqual(['b-small', 'known'])
    expect(after.coverage.examples).toEqual([{ path: 'a-large', reason: 'over-total' }])
  })

  it('cost nothing for what the packs of the repository hold', async () => {
    const { write, path, snapshot } = createWorkspace('git', {
      limits: { maxFileBytes: 10, maxDeltaBytes: 10 },
    })
    write('large.txt', 'x'.repeat(1000))
    runUserGit(path, 'add', '-A')
    runUserGit(path, 'commit', '-q', '-m', 'large')
    runUserGit(path, 'update-index', '--refresh')
    const later = new Date(Date.now() + 60_000)
    utimesSync(join(path, '.git/index'), later, later)
    expect((await snapshot()).coverage).toMatchObject({ complete: true, captured: 1 })
  })

  it('count a path once that is tracked, ignored and over one of them (cases 2, 69)', async () => {
    const { write, path, snapshot } = createWorkspace('git', { limits: { maxFileBytes: 100 } })
    write('big.bin', 'b'.repeat(101))
    write('.gitignore', 'big.bin\n')
    runUserGit(path, 'add', '-f', 'big.bin')
    write('big.bin', 'c'.repeat(102))
    const { coverage } = await snapshot()
    expect(coverage).toMatchObject({ captured: 1, omitted: { 'too-large': 1, ignored: 0 } })
    expect(coverage.examples).toEqual([{ path: 'big.bin', reason: 'too-large' }])
  })

  it('must be numbers of 1 or more', () => {
    for (const limits of [{ maxFileBytes: 0 }, { maxDeltaBytes: -1 }, { maxFiles: Number.NaN }])
      expect(() => createWorkspace('git', { limits })).toThrow(/must be a number of 1 or more/)
  })

  it('list at most 100 paths, and count them all', async () => {
    const { write, snapshot } = createWorkspace('git', { limits: { maxFileBytes: 1 } })
    for (let number = 0; number < 150; number += 1) write(`f${number}`, 'xx')
    const { coverage } = await snapshot()
    expect(coverage).toMatchObject({ captured: 0, omitted: { 'too-large': 150 } })
    expect(coverage.examples).toHaveLength(100)
  })
})

describe('precious files', () => {
  const precious = ['.env', 'config/local/*.json', 'db']

  function fill(write: (name: string, content: string) => void): void {
    write('.gitignore', '.env\nconfig/\n/db/\n*.log\n')
    write('.env', 'TOKEN=first-secret\n')
    write('app/.env', 'TOKEN=app-secret\n')
    write('config/local/dev.json', '"config-secret"')
    write('config/local/dev.txt', 'ignored')
    write('config/other.json', 'ignored')
    write('db/data/0001', 'table')
    write('x.log', 'ignored')
    write('main.txt', 'one\n')
  }

  it('are captured although they are ignored, come back, and show in no patch (case 73)', async () => {
    const { base, write, read, path, snapshot, workspace } = createWorkspace('git', { precious })
    fill(write)
    const before = await snapshot()
    expect(before.coverage).toMatchObject({
      captured: 6,
      examples: ['config/local/dev.txt', 'config/other.json', 'x.log'].map((name) => ({
        path: name,
        reason: 'ignored',
      })),
    })
    expect((await snapshot()).ref).toBe(before.ref)
    write('.env', 'TOKEN=second-secret\n')
    write('config/local/new.json', '"new-secret"')
    write('db/data/0001', 'other')
    rmSync(join(path, 'app/.env'))
    write('main.txt', 'two\n')
    const after = await snapshot(before)
    const diff = await workspace.diff(before, after)
    expect(diff.changedPaths).toEqual([
      '.env',
      // It is empty now.
      'app',
      'app/.env',
      'config/local/new.json',
      'db/data/0001',
      'main.txt',
    ])
    const patch = Buffer.from(decodePatch(diff) ?? []).toString()
    expect(patch.match(/^diff --git .*$/gm)).toEqual(['diff --git a/main.txt b/main.txt'])
    expect(JSON.stringify(diff)).not.toMatch(/secret|table|other/)
    expect(
      diff.changes.filter((change) => change.redacted === true).map((change) => change.after?.content ?? ''),
    ).toEqual(['', '', '', ''])
    const store = localStore({ root: join(base, 'artifacts') })
    const stored = await workspace.diff(before, after, { artifactStore: createArtifactStore(store) })
    expect(stored).toMatchObject({ patch: null, patchSha256: diff.patchSha256 })
    await workspace.rollback(before, { expected: after })
    expect(read('.env')).toBe('TOKEN=first-secret\n')
    expect(read('app/.env')).toBe('TOKEN=app-secret\n')
    expect(read('db/data/0001')).toBe('table')
    expect(existsSync(join(path, 'config/local/new.json'))).toBe(false)
    expect(read('config/local/dev.txt')).toBe('ignored')
  })

  it('show in no patch of a bundle snapshot either (case 73)', async () => {
    const { write, read, snapshot, workspace } = createWorkspace('bundle', { precious: ['.env'] })
    write('.env', 'TOKEN=first-secret\n')
    write('main.txt', 'one\n')
    const before = await snapshot()
    write('.env', 'TOKEN=second-secret\n')
    write('main.txt', 'two\n')
    const after = await snapshot(before)
    const diff = await workspace.diff(before, after)
    expect(diff.changes).toMatchObject([
      { path: '.env', redacted: true, insertions: null, before: { content: '' } },
      { path: 'main.txt', insertions: 1 },
    ])
    expect(JSON.stringify(diff)).not.toContain('secret')
    await workspace.rollback(before, { expected: after })
    expect(read('.env')).toBe('TOKEN=first-secret\n')
  })

  it.each<Backend>(['git', 'bundle'])(
    'do not show by the name of the file that they were made from, by %s (case 73)',
    async (backend) => {
      const { write, path, snapshot, workspace } = createWorkspace(backend, { precious: ['.env'] })
      write('example', 'TOKEN=a-secret\n')
      const before = await snapshot()
      renameSync(join(path, 'example'), join(path, '.env'))
      const { changes } = await workspace.diff(before, await snapshot(before))
      expect(changes[0]).toMatchObject({ path: '.env', status: 'added', redacted: true })
      expect(changes[0]).not.toHaveProperty('renamedFrom')
    },
  )

  it('may be named for one run, and come back when it fails (case 73)', async () => {
    const { write, read, workspace } = createWorkspace('git')
    write('.gitignore', '.env\n')
    write('.env', 'first-secret')
    const result = await executeRun(
      workspace,
      () => {
        write('.env', 'second-secret')
        throw new Error('failed')
      },
      { precious: ['.env'], rollbackOnFailure: true },
    )
    expect(result.workspace?.diff?.changedPaths).toEqual(['.env'])
    expect(JSON.stringify(result)).not.toContain('-secret')
    expect(result.workspace?.rollback).toMatchObject({ restored: ['.env'], verified: true })
    expect(read('.env')).toBe('first-secret')
  })

  it('are not captured without being named, whatever they hold (case 73)', async () => {
    const { write, snapshot } = createWorkspace('git')
    fill(write)
    expect((await snapshot()).coverage.captured).toBe(3)
  })

  it('come back with any name, and by a snapshot that other options are used with (cases 31, 73)', async () => {
    const { write, read, open, path, snapshot } = createWorkspace('git', {
      precious: ['*.secret', 'keys/**'],
    })
    const odd = Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xff, 0x2a]), Buffer.from('.secret')])
    write('.gitignore', '*.secret\nkeys/\n')
    write('é:(top)*.secret', 'one-secret')
    write('keys/deep/er/id', 'two-secret')
    writeFileSync(odd, 'three-secret')
    const before = await snapshot()
    expect(before.coverage.captured).toBe(4)
    write('é:(top)*.secret', 'four-secret')
    write('keys/deep/er/id', 'five-secret')
    writeFileSync(odd, 'six-secret')
    const after = await open({}).snapshot({ strategy: 'git', previous: before })
    const diff = await open({}).diff(before, after)
    expect(diff.filesChanged).toBe(3)
    expect(diff.patch).toBeNull()
    await open({}).rollback(before, { expected: after })
    expect(read('é:(top)*.secret')).toBe('one-secret')
    expect(read('keys/deep/er/id')).toBe('two-secret')
    expect(readFileSync(odd, 'utf8')).toBe('three-secret')
  })

  it('are named by paths of the workspace', () => {
    for (const pattern of ['', '/etc/passwd', '../x', 'a/../../b', '.'])
      expect(() => createWorkspace('git', { precious: [pattern] }), pattern).toThrow(
        /names no file of the workspace/,
      )
  })
})

describe('a workspace', () => {
  it('is refused when it holds its store, or the store holds it, behind any layer', async () => {
    const { base, path } = createWorkspace('git')
    const inside = localStore({ root: join(path, 'store') })
    const around = localStore({ root: base })
    for (const store of [inside, around, withPrefix(inside, 'p'), createBundleStore(inside)]) {
      const workspace = new Workspace({ id: 'w', path, store, stateDir: join(base, 'state') })
      await expect(workspace.snapshot()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      await expect(executeRun(workspace, () => 1)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
    const beside = localStore({ root: join(base, 'store') })
    const workspace = new Workspace({ id: 'w', path, store: beside, stateDir: join(base, 'state') })
    expect((await workspace.snapshot()).backend).toBe('git')
  })

  it('is refused when it holds the state directory, or lies in it (case 68)', async () => {
    const { base, path } = createWorkspace('git')
    for (const stateDir of [join(path, 'state'), path, base]) {
      const workspace = new Workspace({ id: 'w', path, stateDir })
      await expect(workspace.snapshot(), stateDir).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
  })
})
