import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { isSameFileIn, withoutOtherSpellings } from '../../../src/snapshot/git/capture/other-spellings.ts'
import { parseIndex, readUserIndex } from '../../../src/snapshot/git/user/user-index.ts'
import {
  changeList,
  collect,
  createFixture,
  describeTree,
  fingerprint,
  runUserGit,
} from '../git/git-fixture.ts'
import { installGitLfs } from './install-git-lfs.ts'

describe('conversions of the repository', () => {
  it.each([
    ['autocrlf', ['core.autocrlf', 'true'], ''],
    ['autocrlf input', ['core.autocrlf', 'input'], ''],
    ['text=auto', ['core.eol', 'crlf'], '* text=auto\n'],
    ['eol', ['core.eol', 'lf'], '*.dos text eol=crlf\n*.unix text eol=lf\n'],
    ['ident', ['core.eol', 'lf'], '* ident\n'],
    ['working-tree-encoding', ['core.eol', 'lf'], '*.u16 text working-tree-encoding=UTF-16LE-BOM\n'],
    ['filter', ['filter.rot.clean', 'tr a-z n-za-m'], '* filter=rot\n'],
  ] as const)(
    'do not change a byte of what comes back: %s (cases 15, 16, 17, 18)',
    async (_name, setting, attributes) => {
      const { git, write, open, path, ageFiles } = createFixture()
      git('config', ...setting)
      if (attributes !== '') write('.gitattributes', attributes)
      const contents: Record<string, Buffer> = {
        'a.dos': Buffer.from('one\r\ntwo\r\n'),
        'a.unix': Buffer.from('one\ntwo\n'),
        'mixed.txt': Buffer.from('one\r\ntwo\nthree\r'),
        'id.txt': Buffer.from('$Id$ and $Id: 0123 $\n'),
        'a.u16': Buffer.from('\ufeffwide\r\n', 'utf16le'),
        'zero.bin': Buffer.from([0, 13, 10, 0, 255]),
      }
      for (const [name, content] of Object.entries(contents)) write(name, content)
      git('-c', 'core.safecrlf=false', 'add', '-A')
      git('commit', '-q', '-m', 'all')
      ageFiles()
      const backend = await open()
      const before = await backend.capture({ label: 'before' })
      for (const name of Object.keys(contents)) write(name, 'changed by the agent\r\n')
      const after = await backend.capture({ label: 'after', previous: before })
      const patch = await collect(backend.patch(before, after))
      expect((await backend.rollback(before, { expected: after })).verified).toBe(true)
      for (const [name, content] of Object.entries(contents))
        expect(readFileSync(join(path, name)).equals(content), name).toBe(true)
      expect(patch.includes('changed by the agent')).toBe(true)
    },
  )

  it('come in with a later .gitattributes and change nothing of a snapshot (case 15)', async () => {
    const { write, open, read, git, ageFiles } = createFixture()
    write('dos.txt', 'one\r\ntwo\r\n')
    git('add', '-A')
    ageFiles()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('.gitattributes', '* text\n')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['added .gitattributes'])
    write('dos.txt', 'edited\n')
    await backend.rollback(before)
    expect(read('dos.txt')).toBe('one\r\ntwo\r\n')
  })
})

describe('a filter that was taken away after git looked at the files', () => {
  it('has left other blobs in the index, which are not taken for what is in the directory (cases 15, 18)', async () => {
    const { write, open, read, git, ageFiles } = createFixture()
    git('config', 'filter.pointer.clean', 'wc -c')
    write('.gitattributes', '*.bin filter=pointer\n')
    write('model.bin', 'the real thing\n'.repeat(100))
    git('add', '-A')
    git('commit', '-q', '-m', 'with a filter')
    ageFiles()
    git('rm', '-q', '.gitattributes')
    ageFiles()
    git('commit', '-q', '-m', 'without')
    ageFiles()
    // By stamps alone git takes it for unchanged.
    expect(git('status', '--porcelain')).toBe('')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('model.bin', 'spoilt')
    await backend.rollback(before)
    expect(read('model.bin')).toBe('the real thing\n'.repeat(100))
  })
})

describe('git-lfs', () => {
  beforeAll(installGitLfs)

  it('does not run: large files are captured and come back as they are, not as pointers (case 18)', async () => {
    const { git, write, open, path, ageFiles } = createFixture()
    git('lfs', 'install', '--local')
    git('lfs', 'track', '*.bin')
    const content = Buffer.alloc(300_000, 'large')
    write('model.bin', content)
    git('add', '-A')
    git('commit', '-q', '-m', 'large')
    expect(git('show', 'HEAD:model.bin')).toMatch(/^version https:\/\/git-lfs/)
    ageFiles()
    const repository = fingerprint(join(path, '.git'))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    expect(before.metadata.dirty).toBe(false)
    write('model.bin', Buffer.alloc(300_000, 'other'))
    const after = await backend.capture({ label: 'after', previous: before })
    const [change] = await backend.changes(before, after)
    expect(change).toMatchObject({ path: 'model.bin', before: { size: 300_000 }, after: { size: 300_000 } })
    expect((await backend.rollback(before, { expected: after })).verified).toBe(true)
    expect(readFileSync(join(path, 'model.bin')).equals(content)).toBe(true)
    expect(fingerprint(join(path, '.git'))).toEqual(repository)
  })

  it('is not needed where the repository requires it and it is missing (case 18)', async () => {
    const { git, write, open, path } = createFixture()
    write('.gitattributes', '*.bin filter=lfs diff=lfs merge=lfs -text\n')
    git('config', 'filter.lfs.required', 'true')
    git('config', 'filter.lfs.clean', '/nonexistent/git-lfs clean')
    git('config', 'filter.lfs.process', '/nonexistent/git-lfs filter-process')
    write('model.bin', 'large')
    expect(() => git('add', 'model.bin')).toThrow(/filter/)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'model.bin'))
    await backend.rollback(before)
    expect(readFileSync(join(path, 'model.bin'), 'utf8')).toBe('large')
  })
})

describe('modes and links', () => {
  it('come back with every permission bit, of files and directories (cases 24, 25)', async () => {
    const { write, open, path } = createFixture()
    const modes = [0o600, 0o400, 0o444, 0o640, 0o664, 0o700, 0o711, 0o755, 0o644, 0o4755, 0o2644]
    for (const mode of modes) {
      write(`m${mode.toString(8)}`, 'x', mode)
      mkdirSync(join(path, `d${mode.toString(8)}`))
      chmodSync(join(path, `d${mode.toString(8)}`), mode | 0o700)
    }
    mkdirSync(join(path, 'empty/in/empty'), { recursive: true })
    const original = describeTree(path)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (const mode of modes) {
      chmodSync(join(path, `m${mode.toString(8)}`), 0o777)
      rmSync(join(path, `d${mode.toString(8)}`), { recursive: true })
    }
    rmSync(join(path, 'empty'), { recursive: true })
    await backend.rollback(before)
    expect(describeTree(path)).toEqual(original)
    for (const mode of modes)
      expect(statSync(join(path, `d${mode.toString(8)}`)).mode & 0o7777).toBe(mode | 0o700)
  })

  it('are text: absolute, dangling and to directories, swapped with files and directories (case 28)', async () => {
    const { git, write, open, path, outside } = createFixture()
    git('config', 'core.symlinks', 'false')
    writeFileSync(join(outside, 'secret'), 'outside')
    symlinkSync(outside, join(path, 'absolute'))
    symlinkSync('nowhere', join(path, 'dangling'))
    symlinkSync(Buffer.from([0xff, 0x2f, 0xfe]), join(path, 'bytes'))
    write('file', 'file')
    write('directory/inner', 'inner')
    const original = describeTree(path)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    expect(before.metadata.entries).toBe(7)
    for (const name of ['absolute', 'dangling', 'bytes', 'file', 'directory'])
      rmSync(join(path, name), { recursive: true })
    write('absolute/secret', 'now a directory')
    write('dangling', 'now a file')
    mkdirSync(join(path, 'bytes'))
    symlinkSync(outside, join(path, 'directory'))
    symlinkSync('a.txt', join(path, 'file'))
    const after = await backend.capture({ label: 'after', previous: before })
    expect((await backend.rollback(before, { expected: after })).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
    expect(readlinkSync(join(path, 'absolute'))).toBe(outside)
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('outside')
  })
})

describe('names', () => {
  it('that differ by case or by composition are different files here, and both come back (cases 29, 30, 31)', async () => {
    const { write, open, path, read } = createFixture()
    const names = ['Readme', 'README', 'caf\u00e9', 'cafe\u0301']
    for (const name of names) write(name, name)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (const name of names) rmSync(join(path, name))
    await backend.rollback(before)
    expect(names.map(read)).toEqual(names.map((name) => Buffer.from(name).toString('latin1')))
  })

  it('that only spell a listed one otherwise are the same file where the disk says so, and else are not (cases 29, 30)', async () => {
    const { write, path } = createFixture()
    const composed = Buffer.from('caf\u00e9').toString('latin1')
    const decomposed = Buffer.from('cafe\u0301').toString('latin1')
    const paths = ['src/README.md', decomposed, 'src/new.md', 'OTHER']
    const left = (ignoreCase: boolean, ignoreComposition: boolean, isSame = () => true) =>
      withoutOtherSpellings(
        paths,
        () => new Set(['src/readme.md', composed, 'other']),
        { ignoreCase, ignoreComposition },
        isSame,
      )
    expect(left(false, false)).toEqual(paths)
    expect(left(true, false)).toEqual([decomposed, 'src/new.md'])
    expect(left(false, true)).toEqual(['src/README.md', 'src/new.md', 'OTHER'])
    expect(left(true, true)).toEqual(['src/new.md'])
    expect(left(true, true, () => false)).toEqual(paths)
    write('one', 'x')
    write('ONE', 'x')
    linkSync(join(path, 'one'), join(path, 'One'))
    expect(isSameFileIn(path)('one', 'One')).toBe(true)
    expect(isSameFileIn(path)('one', 'ONE')).toBe(false)
    expect(isSameFileIn(path)('one', 'none')).toBe(false)
  })

  it('that change only their case are one deleted and one added file (case 29)', async () => {
    const { git, write, open, path } = createFixture()
    git('config', 'core.ignoreCase', 'true')
    write('Foo.txt', 'x')
    git('add', '-A')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    renameSync(join(path, 'Foo.txt'), join(path, 'foo.txt'))
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['deleted Foo.txt', 'added foo.txt'])
  })
})

describe('what git is not asked', () => {
  it('fetches nothing in a partial clone whose remote is gone (case 39)', async () => {
    const origin = createFixture()
    origin.write('big/data.txt', 'fetched on demand\n')
    origin.git('add', '-A')
    origin.git('commit', '-q', '-m', 'more')
    origin.git('config', 'uploadpack.allowFilter', 'true')
    const clone = createFixture({ empty: true })
    rmSync(join(clone.path, '.git'), { recursive: true })
    runUserGit(clone.path, 'clone', '-q', '--filter=blob:none', '--no-checkout', `file://${origin.path}`, '.')
    clone.git('sparse-checkout', 'set', '--cone', 'src')
    clone.git('checkout', '-q', 'main')
    rmSync(origin.path, { recursive: true })
    const repository = fingerprint(join(clone.path, '.git'))
    const backend = await clone.open()
    const before = await backend.capture({ label: 'before' })
    expect(before.metadata).toMatchObject({ entries: 2, dirty: false })
    clone.write('src/b.txt', 'edited\n')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual(['modified src/b.txt'])
    await backend.rollback(before)
    expect(clone.read('src/b.txt')).toBe('three\n')
    expect(fingerprint(join(clone.path, '.git'))).toEqual(repository)
  })

  it('shows an index that is being written as none that can be read, wherever it was cut (case 40)', async () => {
    const { git, path, outside, write, open } = createFixture()
    for (let number = 0; number < 20; number += 1) write(`file${number}`, 'x')
    git('add', '-A')
    const whole = readFileSync(join(path, '.git/index'))
    expect(parseIndex(whole, 'sha1', 0n)?.paths).toHaveLength(22)
    const copy = join(outside, 'index')
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(copy, whole.subarray(0, length))
      expect(readUserIndex(copy, 'sha1'), String(length)).toBeNull()
      // An index may be without its checksum: then only what it says tells that it is not whole.
      const unsigned = Buffer.concat([whole.subarray(0, length), Buffer.alloc(20)])
      writeFileSync(copy, unsigned)
      expect(readUserIndex(copy, 'sha1')?.paths.length ?? 0).toBeLessThanOrEqual(22)
    }
    writeFileSync(join(path, '.git/index'), whole.subarray(0, whole.length / 2))
    expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(22)
    writeFileSync(join(path, '.git/index'), whole)
    expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(22)
  })

  it('looks at no place outside that an index names', async () => {
    const { git, path, write, open } = createFixture()
    for (const name of ['aa/x', 'ab/cc/y', 'az/z', 'a..b/c..']) write(name, 'x')
    git('add', '-A')
    const index = join(path, '.git/index')
    const forged = readFileSync(index, 'latin1')
      .replace('aa/x', '../x')
      .replace('ab/cc/y', 'ab/../y')
      .replace('az/z', '/etc')
    const content = Buffer.from(forged.slice(0, -20), 'latin1')
    writeFileSync(index, Buffer.concat([content, createHash('sha1').update(content).digest()]))
    const names = readUserIndex(index, 'sha1')?.paths
    expect(names).toEqual(['a..b/c..', 'a.txt', 'src/b.txt'])
    expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(6)
  })

  it('misses no file that an index names out of order, or twice (case 2)', async () => {
    const { git, path, write, open } = createFixture()
    write('.gitignore', 'zz\n')
    for (const name of ['aa/x', 'ab/x', 'zz/x']) write(name, 'x')
    git('add', '-A')
    const index = join(path, '.git/index')
    for (const [from, to] of [
      ['aa/x', 'zz/x'],
      ['ab/x', 'zz/x'],
    ] as const) {
      const forged = readFileSync(index, 'latin1').replace(from, to)
      const content = Buffer.from(forged.slice(0, -20), 'latin1')
      writeFileSync(index, Buffer.concat([content, createHash('sha1').update(content).digest()]))
      expect(readUserIndex(index, 'sha1')?.paths).toContain('zz/x')
      expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(6)
    }
  })

  it('is an index that is a pipe: it counts as none, and nobody waits for it (cases 22, 40)', async () => {
    const { path, open } = createFixture()
    rmSync(join(path, '.git/index'))
    execFileSync('mkfifo', [join(path, '.git/index')])
    expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(2)
  })
})
