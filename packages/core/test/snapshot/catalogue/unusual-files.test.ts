import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  linkSync,
  lstatSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createFixture } from '../git/git-fixture.ts'
import { backends, createRollbackFixture, describeTree } from '../rollback/rollback-fixture.ts'

describe.each(backends)('a rollback by %s', (name) => {
  it('writes through no hard link to a place outside, and leaves what it does not change linked and sparse (case 27)', async () => {
    const { path, outside, write, open, read } = createRollbackFixture(name)
    write('image.raw', '')
    truncateSync(join(path, 'image.raw'), 64 << 20)
    write('one', 'linked')
    linkSync(join(path, 'one'), join(path, 'two'))
    const stampOf = (file: string) => {
      const { ino, nlink, blocks, mtimeNs, birthtimeNs } = lstatSync(join(path, file), { bigint: true })
      return { ino, nlink, blocks, mtimeNs, birthtimeNs }
    }
    const untouched = () => ['image.raw', 'one', 'two'].map(stampOf)
    const stamps = untouched()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const victim = join(outside, 'victim')
    writeFileSync(victim, 'outside')
    rmSync(join(path, 'a.txt'))
    linkSync(victim, join(path, 'a.txt'))
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await backend.rollback(before, { expected: after })).toMatchObject({
      restored: ['a.txt'],
      verified: true,
    })
    expect(read('a.txt')).toBe('one\ntwo\n')
    expect(readFileSync(victim, 'utf8')).toBe('outside')
    expect(untouched()).toEqual(stamps)
  })

  it('gives a file its mode back and not the other names of it, in the workspace or outside (case 27)', async () => {
    const { path, outside, write, open, read } = createRollbackFixture(name)
    const backend = await open()
    write('kept', 'same')
    const before = await backend.capture({ label: 'before' })
    const victim = join(outside, 'victim')
    writeFileSync(victim, read('a.txt'), { mode: 0o600 })
    rmSync(join(path, 'a.txt'))
    linkSync(victim, join(path, 'a.txt'))
    linkSync(join(path, 'kept'), join(path, 'other'))
    chmodSync(join(path, 'kept'), 0o600)
    const { steps } = await backend.rollback(before, { paths: ['a.txt', 'kept'] })
    expect(steps.map(({ path: at, action }) => [at, action])).toEqual([
      ['a.txt', 'change-mode'],
      ['kept', 'change-mode'],
    ])
    const modes = [victim, ...['a.txt', 'kept', 'other'].map((file) => join(path, file))]
    expect(modes.map((file) => lstatSync(file).mode & 0o777)).toEqual([0o600, 0o644, 0o644, 0o600])
  })

  it('keeps composed and decomposed names apart, byte for byte, whatever the configuration says (case 30)', async () => {
    const { path, write, open } = createRollbackFixture(name)
    if (name === 'git')
      writeFileSync(join(path, '.git/config'), '[core]\n\tprecomposeUnicode = true\n', { flag: 'a' })
    for (const file of ['caf\u00e9', 'cafe\u0301/\u1112\u1161\u11ab', '\ud55c']) write(file, file)
    const original = describeTree(path)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('caf\u00e9', 'spoilt')
    for (const file of ['cafe\u0301', '\ud55c']) rmSync(join(path, file), { recursive: true })
    write('\u1112\u1161\u11ab', 'of the other form')
    expect(await backend.rollback(before)).toMatchObject({ deleted: ['\u1112\u1161\u11ab'], verified: true })
    expect(describeTree(path)).toEqual(original)
  })
})

describe('a snapshot', () => {
  it('has the modes of the disk where core.fileMode is off (case 26)', async () => {
    const { path, git, open } = createFixture()
    git('config', 'core.fileMode', 'false')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    chmodSync(join(path, 'a.txt'), 0o755)
    expect(git('status', '--porcelain')).toBe('')
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await backend.changes(before, after)).toMatchObject([{ path: 'a.txt', status: 'mode-changed' }])
    await backend.rollback(before, { expected: after })
    expect(lstatSync(join(path, 'a.txt')).mode & 0o777).toBe(0o644)
  })

  it('believes no index that is not whole or that git cannot read: what was committed counts as tracked, and files are read (case 40)', async () => {
    const { path, git, write, open, read } = createFixture()
    write('.gitignore', '*.log\n')
    write('kept.log', 'tracked')
    git('add', '-A', '-f')
    git('commit', '-q', '-m', 'log')
    const index = join(path, '.git/index')
    const whole = readFileSync(index)
    const damages = [
      whole.subarray(0, whole.length / 2),
      Buffer.from('DIRC'),
      Buffer.from(whole).fill(7, 40, 60),
      // Whole by their checksums, and yet nothing that git can read.
      sealed(Buffer.from(whole).fill(9, 7, 8)),
      sealed(Buffer.from(whole).fill(0xff, 8, 12)),
    ]
    const expected = (await (await open()).capture({ label: 'x' })).ref
    for (const damaged of damages) {
      writeFileSync(index, damaged)
      const backend = await open()
      const before = await backend.capture({ label: 'before' })
      expect(before.ref).toBe(expected)
      write('kept.log', 'edited')
      expect(await backend.rollback(before)).toMatchObject({ restored: ['kept.log'], verified: true })
      expect(read('kept.log')).toBe('tracked')
      expect(readFileSync(index)).toEqual(damaged)
    }
  })

  it('is taken and rolled back whatever stands in the place of HEAD, its branch and a split index (case 83)', async () => {
    const places: readonly (readonly [string, string | null])[] = [
      ['HEAD', 'ref: refs/heads/a\0b\n'],
      ['HEAD', 'ref: refs/heads/a\nb\n'],
      ['HEAD', null],
      ['refs/heads/main', null],
      ['sharedindex', null],
    ]
    for (const [name, content] of places) {
      const { path, git, write, open, read } = createFixture()
      const backend = await open()
      const before = await backend.capture({ label: 'before' })
      write('a.txt', 'agent\n')
      if (name === 'sharedindex') git('update-index', '--split-index')
      const place = join(
        path,
        '.git',
        readdirSync(join(path, '.git')).find((known) => known.startsWith(name)) ?? name,
      )
      rmSync(place)
      if (content === null) execFileSync('mkfifo', [place])
      else writeFileSync(place, content)
      await backend.capture({ label: 'after', previous: before })
      expect(await backend.rollback(before)).toMatchObject({ restored: ['a.txt'], verified: true })
      expect(read('a.txt')).not.toBe('agent\n')
    }
  })
})

/** An index with the checksum that belongs to it. */
function sealed(index: Buffer): Buffer {
  const body = index.subarray(0, -20)
  return Buffer.concat([body, createHash('sha1').update(body).digest()])
}
