import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { compareTrees } from '../../../src/snapshot/git/private/compare-trees.ts'
import { objectReader } from '../../../src/snapshot/git/private/read-object.ts'
import { createFixture, type Fixture } from './git-fixture.ts'

type Format = 'sha1' | 'sha256'

const readerOf = ({ path }: Fixture, format: Format) => objectReader(join(path, '.git/objects'), format)

/** Versions that make deltas of each other, an empty file, one that cannot be compressed and one that is large. */
function fill({ write, git }: Fixture): void {
  const lines = Array.from({ length: 400 }, (_, at) => `line ${at}`)
  write('large', 'large\n'.repeat(200_000))
  for (let round = 0; round < 4; round += 1) {
    lines[round * 90] = `edited ${round}`
    write('grows.txt', lines.join('\n').repeat(round + 1))
    write('empty', '')
    write('noise', randomBytes(100_000 + round))
    git('add', '-A')
    git('commit', '-q', '-m', `round ${round}`)
  }
}

function objectsByGit({ path, git }: Fixture): { id: string; type: string; content: Buffer }[] {
  const lines = git('cat-file', '--batch-check', '--batch-all-objects').trim().split('\n')
  return lines.map((line) => {
    const [id = '', type = ''] = line.split(' ')
    const options = { cwd: path, maxBuffer: 1 << 28 }
    return { id, type, content: execFileSync('git', ['cat-file', type, id], options) }
  })
}

describe('an object, read without git', () => {
  it.each(['sha1', 'sha256'] as const)('is what git reads, loose and in packs of %s', (format) => {
    const fixture = createFixture({ format })
    fill(fixture)
    const all = objectsByGit(fixture)
    const check = (): void => {
      const read = readerOf(fixture, format)
      for (const { id, type, content } of all) {
        const object = read(id)
        // Large ones are left to git.
        if (content.length > 1 << 20) expect(object).toBe(null)
        else expect([id, object?.type, object?.content.equals(content)]).toEqual([id, type, true])
      }
      expect(read('1'.repeat(format === 'sha1' ? 40 : 64))).toBe(null)
    }
    expect(new Set(all.map(({ type }) => type))).toEqual(new Set(['blob', 'commit', 'tree']))
    check()
    for (const byOffset of ['true', 'false']) {
      fixture.git('-c', `repack.useDeltaBaseOffset=${byOffset}`, 'repack', '-a', '-d', '-f', '-q')
      const pack = onlyPackOf(fixture)
      expect(fixture.git('verify-pack', '-v', `${pack}.idx`)).toMatch(/chain length = 1/)
      check()
    }
  })

  it('is itself or nothing, whatever was written to the files', () => {
    const fixture = createFixture()
    fill(fixture)
    const all = objectsByGit(fixture).filter(({ content }) => content.length < 1 << 20)
    fixture.git('repack', '-a', '-d', '-f', '-q')
    for (const ending of ['pack', 'idx']) {
      const file = `${onlyPackOf(fixture)}.${ending}`
      const whole = readFileSync(file)
      chmodSync(file, 0o600)
      let lost = 0
      for (let round = 0; round < 12; round += 1) {
        const damaged = Buffer.from(whole)
        const from = Math.floor((whole.length * round) / 12)
        damaged.subarray(from, from + 40).forEach((byte, at) => (damaged[from + at] = byte ^ (0x5a + round)))
        writeFileSync(file, round === 11 ? whole.subarray(0, from) : damaged)
        const read = readerOf(fixture, 'sha1')
        for (const { id, content } of all) {
          const object = read(id)
          if (object === null) lost += 1
          else expect(object.content.equals(content)).toBe(true)
        }
      }
      expect(lost).toBeGreaterThan(0)
      writeFileSync(file, whole)
    }
    const read = readerOf(fixture, 'sha1')
    for (const { id, content } of all) expect(read(id)?.content.equals(content)).toBe(true)
  })

  it('is not taken from a loose file of another one', () => {
    const fixture = createFixture()
    const [one, other] = ['a.txt', 'src/b.txt'].map((path) => fixture.git('rev-parse', `HEAD:${path}`).trim())
    const fileOf = (id = '') => join(fixture.path, '.git/objects', id.slice(0, 2), id.slice(2))
    rmSync(fileOf(one))
    renameSync(fileOf(other), fileOf(one))
    expect(readerOf(fixture, 'sha1')(one ?? '')).toBe(null)
  })
})

describe('what differs between two trees, read without git', () => {
  const change: Record<string, (fixture: Fixture) => void> = {
    'contents far apart': ({ write }) => {
      for (const name of ['a/1', 'b/c/d/2', 'e']) write(name, 'edited')
    },
    'names that come and go': ({ path, write }) => {
      write('new/deep/er', 'new')
      rmSync(join(path, 'b'), { recursive: true })
    },
    'a file in the place of a directory, and a directory in that of a file': ({ path, write }) => {
      rmSync(join(path, 'a'), { recursive: true })
      write('a', 'file now')
      rmSync(join(path, 'e'))
      write('e/inside', 'directory now')
    },
    'modes, links and names that sort otherwise as directories': ({ path, write }) => {
      chmodSync(join(path, 'e'), 0o755)
      rmSync(join(path, 'a/1'))
      symlinkSync('nowhere', join(path, 'a/1'))
      write('a.b', 'before a/')
      write('a-b', 'before a.b')
    },
    'a directory that only moved': ({ path }) => {
      mkdirSync(join(path, 'moved'))
      renameSync(join(path, 'b'), join(path, 'moved/b'))
    },
  }

  it.each(Object.keys(change))('is what git says of %s', (name) => {
    const fixture = createFixture()
    const { git, write } = fixture
    for (const path of ['a/1', 'a/2', 'b/c/d/1', 'b/c/d/2', 'e', 'f/g']) write(path, path)
    git('add', '-A')
    git('commit', '-q', '-m', 'before')
    change[name]?.(fixture)
    git('add', '-A')
    git('commit', '-q', '-m', 'after')
    for (const [from, to] of [
      ['HEAD~^{tree}', 'HEAD^{tree}'],
      ['HEAD^{tree}', 'HEAD~^{tree}'],
    ]) {
      const trees = [from, to].map((each) => git('rev-parse', each ?? '').trim())
      const found = compareTrees(readerOf(fixture, 'sha1'), trees[0] ?? '', trees[1] ?? '') ?? new Map()
      const lines = [...found].flatMap(([path, { before, after }]) =>
        // git says of another kind in the same place that one has gone and one has come.
        (before?.mode === '040000') === (after?.mode === '040000') || before === null || after === null
          ? [lineOf(path, before, after)]
          : [lineOf(path, before, null), lineOf(path, null, after)],
      )
      const output = git('diff-tree', '-r', '-t', '--raw', '--no-abbrev', '--no-renames', ...trees)
        .trimEnd()
        .split('\n')
      const expected = output.map((line) => line.replace(/ [A-Z]\t/, '\t'))
      expect(lines.length).toBeGreaterThan(0)
      expect(lines.toSorted()).toEqual(expected.toSorted())
    }
  })

  it('is left to git where a tree is missing or much differs', () => {
    const fixture = createFixture()
    const { git, write, path } = fixture
    for (let number = 0; number < 150; number += 1) write(`directory-${number}/file`, 'one')
    git('add', '-A')
    const before = git('write-tree').trim()
    for (let number = 0; number < 150; number += 1) write(`directory-${number}/file`, 'other')
    git('add', '-A')
    const after = git('write-tree').trim()
    expect(compareTrees(readerOf(fixture, 'sha1'), before, after)).toBe(null)
    write('directory-0/file', 'third')
    git('add', '-A')
    const third = git('write-tree').trim()
    expect(compareTrees(readerOf(fixture, 'sha1'), after, third)?.size).toBe(2)
    const inner = git('rev-parse', `${third}:directory-0`).trim()
    rmSync(join(path, '.git/objects', inner.slice(0, 2), inner.slice(2)))
    expect(compareTrees(readerOf(fixture, 'sha1'), after, third)).toBe(null)
  })
})

type Side = { readonly mode: string; readonly id: string } | null

function lineOf(path: string, before: Side, after: Side): string {
  const none = { mode: '000000', id: '0'.repeat(40) }
  const [left, right] = [before ?? none, after ?? none]
  return `:${left.mode} ${right.mode} ${left.id} ${right.id}\t${path}`
}

function onlyPackOf({ path }: Fixture): string {
  const packs = join(path, '.git/objects/pack')
  const names = readdirSync(packs).filter((name) => name.endsWith('.idx'))
  expect(names).toHaveLength(1)
  return join(packs, names[0]?.replace(/\.idx$/, '') ?? '')
}
