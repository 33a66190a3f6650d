import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isIgnored } from '../../../src/snapshot/git/walk/ignore-chain.ts'
import { parseIgnoreFile } from '../../../src/snapshot/git/walk/ignore-file.ts'
import { isUnsupportedName } from '../../../src/snapshot/git/walk/unsupported-name.ts'
import { wildmatch } from '../../../src/snapshot/git/walk/wildmatch.ts'
import { createFixture } from './git-fixture.ts'

const names = ['a', 'b', 'ab', 'ba', 'abc', 'a.b', 'A', '[', '!a', '#a', 'a b', '-', 'a\\', 'é']
const paths = [
  ...names,
  ...['d', 'e', 'd/d', 'a.d', 'e/a.d/d'].flatMap((directory) => names.map((name) => `${directory}/${name}`)),
]

const piece = fc.constantFrom(
  'a',
  'b',
  'ab',
  'abc',
  'A',
  '*',
  '**',
  '?',
  '/',
  '[a-b]',
  '[!a]',
  '[^b]',
  '[[:upper:]]',
  '[[:alpha:]b]',
  '[]a]',
  '[a-]',
  '[\\]]',
  '[',
  ']',
  '[[:x:]]',
  '\\a',
  '\\*',
  '\\',
  '!',
  '#',
  ' ',
  '\\ ',
  '.',
  'd',
  'e',
  '-',
  '/**/',
  '**/',
  '/**',
  'a.d',
  'é',
  '\\!',
  '\\#',
  '[[]',
  '[a',
  '[b-a]',
  '[--a]',
  '\r',
)
const rule = fc
  .tuple(
    fc.constantFrom('', '!', '/'),
    fc.array(piece, { minLength: 1, maxLength: 4 }),
    fc.constantFrom('', '/'),
  )
  .map(([start, parts, end]) => `${start}${parts.join('')}${end}`)
const file = fc
  .tuple(
    fc.constantFrom('', '\u00ef\u00bb\u00bf'),
    fc.array(rule, { maxLength: 5 }),
    fc.constantFrom('\n', '\r\n', ''),
  )
  .map(([mark, rules, end]) =>
    Buffer.concat([Buffer.from(mark, 'latin1'), Buffer.from(rules.join('\n') + end)]),
  )

describe('the ignore rules', () => {
  it('are those of git, for any rules in any place (cases 12, 14)', async () => {
    const { path, git, open, outside, stateDirectory } = createFixture({ empty: true })
    const excludes = join(outside, 'excludes')
    git('config', 'core.excludesFile', excludes)
    for (const name of paths) {
      mkdirSync(join(path, name, '..'), { recursive: true })
      if (!existsSync(join(path, name))) writeFileSync(join(path, name), '')
    }
    const places = [
      excludes,
      ...['.git/info/exclude', '.gitignore', 'd/.gitignore', 'e/.gitignore', 'd/d/.gitignore'].map((name) =>
        join(path, name),
      ),
    ]
    const backend = await open()
    await fc.assert(
      fc.asyncProperty(fc.array(file, { minLength: 6, maxLength: 6 }), async (contents) => {
        for (const [row, place] of places.entries()) {
          const content = contents[row] ?? Buffer.alloc(0)
          if (content.length === 0) rmSync(place, { force: true })
          else writeFileSync(place, content)
        }
        const records = git('status', '--porcelain', '-z', '-uall', '--ignored=matching').split('\0')
        const theirs = (mark: string) =>
          records
            .filter((record) => record.startsWith(mark))
            .map((record) => record.slice(3).replace(/\/$/, ''))
        const { coverage, metadata } = await backend.capture({ label: 'x' })
        const ignored = coverage.examples.filter(({ reason }) => reason === 'ignored')
        expect(ignored.map((each) => Buffer.from(each.path).toString('latin1')).toSorted()).toEqual(
          theirs('!! ').toSorted(),
        )
        const listed = execFileSync('git', ['ls-tree', '-r', '-z', '--name-only', metadata.tree ?? ''], {
          env: { PATH: process.env['PATH'], GIT_DIR: join(stateDirectory, 'git/sha1') },
          encoding: 'latin1',
        })
        expect(listed.split('\0').filter(Boolean).toSorted()).toEqual(theirs('?? ').toSorted())
      }),
      { numRuns: 60 },
    )
  })

  it('take no longer than the lengths of pattern and name allow, however hostile the pattern is', () => {
    const pattern = `${'*a'.repeat(200)}b`
    expect(wildmatch(pattern, 'a'.repeat(255), { isPath: false, ignoreCase: false })).toBe(false)
    const deep = `${'**/*a*/'.repeat(40)}b`
    expect(wildmatch(deep, `${'aaaa/'.repeat(200)}a`, { isPath: true, ignoreCase: false })).toBe(false)
  })

  it('wait for no pipe and read no device that stands in for an ignore file (case 22)', async () => {
    const { path, open, write } = createFixture()
    execFileSync('mkfifo', [join(path, '.gitignore')])
    symlinkSync('/dev/zero', join(path, 'src/.gitignore'))
    write('src/new.txt', 'x')
    const { metadata, coverage } = await (await open()).capture({ label: 'x' })
    expect(metadata.entries).toBe(4)
    expect(coverage.examples).toEqual([{ path: '.gitignore', reason: 'special-file' }])
  })

  it('do not tell upper from lower case where the repository says so (case 29)', async () => {
    const list = parseIgnoreFile('Build/\n*.LOG\nsrc/[A-C]*.x\n!KEEP.log\n', true)
    const chain = list === null ? null : { list, lead: '', start: 0, next: null }
    const verdict = (path: string, isDirectory = false) =>
      isIgnored(chain, path, path.slice(path.lastIndexOf('/') + 1), isDirectory)
    expect(['build', 'BUILD', 'sub/bUild'].map((path) => verdict(path, true))).toEqual([true, true, true])
    expect(['a.log', 'A.Log', 'keep.LOG', 'SRC/bb.X', 'src/dd.x'].map((path) => verdict(path))).toEqual([
      true,
      true,
      false,
      true,
      false,
    ])
    const { path, git, open, write } = createFixture()
    write('.gitignore', 'BUILD/\n')
    write('build/out.o', 'x')
    expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(4)
    git('config', 'core.ignoreCase', 'true')
    expect(git('status', '--porcelain')).toBe('?? .gitignore\n')
    expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(3)
    expect(existsSync(join(path, 'build/out.o'))).toBe(true)
  })
})

describe('names that no snapshot can hold', () => {
  it('are .git in another case everywhere: reported, and a rollback leaves them alone (case 29)', async () => {
    const { open, write, read } = createFixture()
    write('.GIT/config', 'x')
    write('src/.Git', 'x')
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    expect(before.coverage).toMatchObject({
      complete: false,
      omitted: { 'unsupported-name': 2 },
      examples: [
        { path: '.GIT', reason: 'unsupported-name' },
        { path: 'src/.Git', reason: 'unsupported-name' },
      ],
    })
    write('.GIT/config', 'y')
    write('a.txt', 'y')
    expect((await backend.rollback(before)).restored).toEqual(['a.txt'])
    expect(read('.GIT/config')).toBe('y')
  })

  it('are devices and short names on Windows (case 23)', () => {
    const refused = [
      'nul',
      'NUL.txt',
      'con',
      'aux.c',
      'COM1',
      'lpt9.log',
      'CONIN$',
      'a.',
      'a ',
      'GIT~1',
      '.git ',
      '.GIT',
    ]
    const accepted = [
      'null',
      'console',
      'com',
      'com10',
      'lpt',
      'git~2',
      '.gitignore',
      '.github',
      'a b',
      '.git',
    ]
    expect(refused.filter((name) => !isUnsupportedName(name, 'win32'))).toEqual([])
    expect(accepted.filter((name) => isUnsupportedName(name, 'win32'))).toEqual([])
    expect(refused.filter((name) => isUnsupportedName(name, 'linux'))).toEqual(['.GIT'])
  })

  it('are plain files elsewhere (case 23)', async () => {
    const { open, write } = createFixture()
    for (const name of ['nul', 'con', 'aux.txt']) write(name, 'x')
    expect((await (await open()).capture({ label: 'x' })).metadata.entries).toBe(5)
  })
})
