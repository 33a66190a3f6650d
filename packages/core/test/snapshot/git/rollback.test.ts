import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { changeList, createFixture, describeTree, runUserGit } from './git-fixture.ts'

describe('a rollback', () => {
  it('brings back the modes of directories, of deleted ones too, and leaves a foreign change of them alone', async () => {
    const { open, path, write } = createFixture()
    write('closed/in/c.txt', 'c')
    for (const [name, mode] of [
      ['closed', 0o700],
      ['closed/in', 0o750],
      ['src', 0o755],
    ] as const)
      chmodSync(join(path, name), mode)
    const modes = () => ['closed', 'closed/in', 'src'].map((name) => lstatSync(join(path, name)).mode & 0o777)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'closed'), { recursive: true })
    chmodSync(join(path, 'src'), 0o770)
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['deleted closed/in/c.txt'])
    const plan = await backend.rollback(before, { expected: after, dryRun: true })
    expect(plan.restored).toEqual(['closed/in/c.txt', 'src'])
    expect(await backend.rollback(before, { expected: after })).toMatchObject({
      restored: plan.restored,
      verified: true,
    })
    expect(modes()).toEqual([0o700, 0o750, 0o755])
    expect((await backend.capture({ label: 'x' })).ref).toBe(before.ref)

    chmodSync(join(path, 'src'), 0o711)
    await expect(backend.rollback(before, { expected: before })).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { paths: ['src'] },
    })
    expect(await backend.rollback(before, { expected: before, onForeignEdits: 'keep' })).toMatchObject({
      kept: ['src'],
    })
    expect(modes()).toEqual([0o700, 0o750, 0o711])
    await backend.rollback(before)
    expect(modes()).toEqual([0o700, 0o750, 0o755])
  })

  it('stores nothing again that it has just read, and its proof needs nothing of the user', async () => {
    const { ageFiles, git, open, openGone, path, read, stateDirectory, write } = createFixture()
    git('repack', '-q', '-a', '-d')
    ageFiles()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('src/b.txt', 'spoilt')
    const loose = () =>
      readdirSync(join(stateDirectory, 'git/sha1/objects'), { recursive: true, encoding: 'utf8' })
        .filter((name) => /^[0-9a-f]{2}[/]/.test(name))
        .map((name) => name.replace('/', ''))
    const stored = loose().length
    await backend.rollback(before)
    expect(loose()).not.toContain(git('rev-parse', 'HEAD:src/b.txt').trim())
    // The file as it was spoilt, and the two directories above it.
    expect(loose()).toHaveLength(stored + 3)
    rmSync(join(path, '.git'), { recursive: true })
    write('src/b.txt', 'spoilt again')
    await (await openGone()).rollback(before)
    expect(read('src/b.txt')).toBe('three\n')
  })

  it.each(['one file', 'everything'])(
    'says what is lost when %s in a pack has been overwritten in place, and undoes what it did (case 49)',
    async (part) => {
      const { open, path, write, git, ageFiles, stateDirectory } = createFixture()
      write('z.bin', randomBytes(100_000))
      git('add', '-A')
      git('commit', '-q', '-m', 'large')
      git('repack', '-q', '-a', '-d')
      ageFiles()
      const backend = await open()
      const before = await backend.capture({ label: 'before' })
      write('a.txt', 'changed')
      write('z.bin', 'changed')
      const after = await backend.capture({ label: 'after', previous: before })
      const packs = join(stateDirectory, 'git/sha1/objects/pack')
      const name = readdirSync(packs).find((each) => each.endsWith('.pack')) ?? ''
      const bytes = readFileSync(join(packs, name))
      const blob = bytes.length - 90_000
      bytes.fill(0x55, part === 'one file' ? blob : 14, part === 'one file' ? blob + 1000 : bytes.length - 20)
      chmodSync(join(packs, name), 0o600)
      writeFileSync(join(packs, name), bytes)
      const spoilt = describeTree(path)
      const details = part === 'one file' ? { path: 'z.bin', packs: [name] } : { packs: [name] }
      await expect(backend.rollback(before)).rejects.toMatchObject({ code: 'CORRUPT', details })
      expect(describeTree(path)).toEqual(spoilt)
      if (part === 'everything')
        await expect(backend.changes(before, after)).rejects.toMatchObject({ code: 'CORRUPT' })
      else expect(await backend.rollback(before, { paths: ['a.txt'] })).toMatchObject({ verified: true })
    },
  )

  it('deletes nothing that was not captured, even when the ignore rules come back (cases 41, 42)', async () => {
    const { open, path, write } = createFixture()
    write('build/out.o', 'ignored')
    write('.gitignore', 'build/\ndata/\n')
    write('data/big.bin', 'precious')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('.gitignore', 'build/\ndata/\ncache/\n')
    write('cache/agent.bin', 'ignored by the agent')
    write('made.txt', 'made')
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ deleted: ['made.txt'], restored: ['.gitignore'], verified: true })
    for (const name of ['data/big.bin', 'build/out.o', 'cache/agent.bin'])
      expect(existsSync(join(path, name)), name).toBe(true)
    const undone = await backend.rollback(result.guard ?? before)
    expect(undone.verified).toBe(true)
    expect(readFileSync(join(path, '.gitignore'), 'utf8')).toContain('cache/')
  })

  it.each([1, 150])(
    'deletes nothing that the target left out and that came into view later: %i files (case 11)',
    async (count) => {
      const { open, path, write } = createFixture()
      write('.gitignore', '*.db\n')
      for (let number = 0; number < count; number += 1) write(`data${number}.db`, 'precious')
      runUserGit(path, 'init', '-q', 'vendor/lib')
      write('vendor/lib/code.c', 'precious')
      const backend = await open()
      const before = await backend.capture({ label: 'before' })
      write('.gitignore', '')
      rmSync(join(path, 'vendor/lib/.git'), { recursive: true })
      write('made.txt', 'made')
      const after = await backend.capture({ label: 'after', previous: before })
      expect(after.metadata.entries).toBe(count + 5)
      const result = await backend.rollback(before, { expected: after })
      expect(result).toMatchObject({ restored: ['.gitignore'], deleted: ['made.txt'], verified: true })
      for (let number = 0; number < count; number += 1)
        expect(existsSync(join(path, `data${number}.db`))).toBe(true)
      expect(existsSync(join(path, 'vendor/lib/code.c'))).toBe(true)
    },
  )

  it('keeps a directory that the agent made when something ignored is in it', async () => {
    const { open, path, write } = createFixture()
    write('.gitignore', '*.log\n')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('made/deep/x.txt', 'made')
    write('made/deep/x.log', 'precious')
    write('other/deep/y.txt', 'made')
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ deleted: ['made/deep/x.txt', 'other/deep/y.txt'], verified: true })
    expect(Object.keys(describeTree(path)).toSorted()).toEqual([
      '.gitignore',
      'a.txt',
      'made',
      'made/deep',
      'made/deep/x.log',
      'src',
      'src/b.txt',
    ])
  })
})

describe('what is in the way', () => {
  it.each([
    [
      'an ignored file',
      (path: string) => {
        unlinkSync(join(path, 'a.txt'))
        writeFileSync(join(path, '.git/info/exclude'), 'a.txt/\nprecious\n')
        mkdirSync(join(path, 'a.txt'))
        writeFileSync(join(path, 'a.txt/precious'), 'x')
      },
      'a.txt/precious',
    ],
    [
      'an ignored link above',
      (path: string) => {
        rmSync(join(path, 'src'), { recursive: true })
        writeFileSync(join(path, '.git/info/exclude'), 'src\n')
        symlinkSync('/tmp', join(path, 'src'))
      },
      'src',
    ],
    [
      'a FIFO',
      (path: string) => {
        unlinkSync(join(path, 'a.txt'))
        execFileSync('mkfifo', [join(path, 'a.txt')])
      },
      'a.txt',
    ],
    [
      'another repository',
      (path: string) => {
        unlinkSync(join(path, 'a.txt'))
        runUserGit(path, 'init', '-q', 'a.txt')
      },
      'a.txt/',
    ],
  ])('stops the rollback before anything is touched: %s (case 53)', async (_name, obstruct, named) => {
    const { open, path, write } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('zoo.txt', 'made')
    obstruct(path)
    const state = describeTree(path)
    const failure = await backend.rollback(before).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'CONFLICT' })
    expect(String((failure as { details: { paths: string[] } }).details.paths[0])).toContain(named)
    expect(describeTree(path)).toEqual(state)
    const dry = await backend.rollback(before, { dryRun: true }).catch((error: unknown) => error)
    expect(dry).toMatchObject({ code: 'CONFLICT' })
  })
})

describe('a snapshot that somebody forged', () => {
  it.each(['..', '.', '.git', 'a/../../escaped', '/absolute'])(
    'is refused before anything is touched when a path in it is %s (case 51)',
    async (name) => {
      const { open, path, outside, write, stateDirectory } = createFixture()
      const backend = await open()
      const before = await backend.capture({ label: 'before' })
      const store = join(stateDirectory, 'git/sha1')
      const hash = (type: string, bytes: Uint8Array) =>
        execFileSync('git', ['--git-dir', store, 'hash-object', '-t', type, '-w', '--literally', '--stdin'], {
          input: bytes,
          encoding: 'latin1',
        }).trim()
      const entry = (mode: string, entryName: string, id: string) =>
        Buffer.concat([Buffer.from(`${mode} ${entryName}\0`), Buffer.from(id, 'hex')])
      const inner = hash('tree', entry('100644', 'escaped', hash('blob', Buffer.from('forged'))))
      const tree = hash('tree', entry('40000', name, inner))
      const forged = { ...before, ref: before.ref.replace(before.metadata.tree ?? '', tree) }
      await expect(backend.rollback(forged)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      // Also when the log of the store was forged with it.
      const log = join(store, 'snapshots')
      writeFileSync(log, readFileSync(log, 'utf8').replaceAll(before.ref, forged.ref))
      write('made.txt', 'made')
      const states = [path, outside].map((root) => describeTree(root))
      await expect((await open()).rollback(forged)).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
      expect([path, outside].map((root) => describeTree(root))).toEqual(states)
      expect(existsSync(join(path, '../escaped'))).toBe(false)
    },
  )
})

describe('contents that a rollback reads', () => {
  it('are each in their place, where some of them are read with git and others without', async () => {
    const { open, path, write } = createFixture()
    const large = randomBytes(3 << 20)
    for (const [name, content] of [
      ['1-small', 'small'],
      ['2-empty', ''],
      ['3-large', large],
      ['4-small', 'other'],
      ['5-empty', ''],
      ['6-last', 'last'],
    ] as const)
      write(name, content)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const state = describeTree(path)
    for (const name of readdirSync(path)) if (/^[1-6]/.test(name)) write(name, 'agent')
    await backend.rollback(before)
    expect(describeTree(path)).toEqual(state)
  })
})

describe('a rollback that fails on the way', () => {
  it('brings the state before it back, and says why (case 56)', async () => {
    const { open, path, write, stateDirectory } = createFixture()
    write('big.bin', Buffer.alloc(100_000, 7))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'agent')
    write('new.txt', 'agent')
    unlinkSync(join(path, 'big.bin'))
    // The content that is to come back is damaged in the store, behind the back of everybody.
    const blob =
      (await backend.changes({ ...before, ref: '4b825dc642cb6eb9a060e54bf8d69288fbee4904' }, before)).find(
        (change) => change.path === 'big.bin',
      )?.after?.content ?? ''
    const object = join(stateDirectory, 'git/sha1/objects', blob.slice(0, 2), blob.slice(2))
    const kept = readFileSync(object)
    rmSync(object)
    const state = describeTree(path)
    await expect(backend.rollback(before)).rejects.toThrow(/big\.bin|cat-file/)
    expect(describeTree(path)).toEqual(state)
    expect(readdirSync(path).filter((name) => name.startsWith('.ws-'))).toEqual([])
    writeFileSync(object, kept)
    await backend.rollback(before)
    expect(readFileSync(join(path, 'big.bin'))).toEqual(Buffer.alloc(100_000, 7))
  })

  it('writes no content that is not what its id says (case 49)', async () => {
    const { open, path, write, git, stateDirectory } = createFixture()
    write('b.bin', 'right')
    const id = git('hash-object', 'b.bin').trim()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('b.bin', 'agent')
    write('new.txt', 'agent')
    const object = join(stateDirectory, 'git/sha1/objects', id.slice(0, 2), id.slice(2))
    rmSync(object)
    writeFileSync(object, deflateSync('blob 5\0wrong'))
    const state = describeTree(path)
    const failure = await backend.rollback(before).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'CORRUPT', details: { path: 'b.bin' } })
    expect(describeTree(path)).toEqual(state)
  })

  it('rejects with NOT_FOUND when the data of the target is gone, and INVALID_INPUT for a foreign snapshot', async () => {
    const { open, path, stateDirectory } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const gone = { ...before, ref: 'f'.repeat(40) }
    await expect(backend.rollback(gone)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(backend.changes(gone, before)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(backend.changes(before, { ...before, path: '/elsewhere' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    await expect(backend.rollback({ ...before, backend: 'hash' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    await expect(backend.rollback({ ...before, ref: '--help' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    renameSync(stateDirectory, `${stateDirectory}-moved`)
    expect(existsSync(path)).toBe(true)
  })
})
