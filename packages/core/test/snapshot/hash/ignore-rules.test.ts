import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { WorkspaceError } from '../../../src/errors.ts'
import { openHashBackend } from '../../../src/snapshot/hash/open-hash-backend.ts'
import {
  compileIgnoreRules,
  isIgnored,
  normalizeIgnoreRules,
  type HashIgnoreOptions,
} from '../../../src/snapshot/hash/ignore-rules.ts'
import { writeFiles } from '../../support/temporary-directory.ts'
import { openWorkspace } from './capture-directory.ts'

function ignored(options: HashIgnoreOptions, path: string): boolean {
  return isIgnored(compileIgnoreRules(normalizeIgnoreRules(options)), path)
}

const cases: readonly [rule: string, options: HashIgnoreOptions, yes: string[], no: string[]][] = [
  [
    'the defaults, at any depth',
    {},
    ['.git', 'a/node_modules/x', 'a/b/deps', '_build/y'],
    ['git', 'a/.github', 'node_modules2'],
  ],
  [
    'no defaults when they are switched off',
    { defaults: false },
    [],
    ['.git/config', 'node_modules/x', 'deps', '_build'],
  ],
  [
    'a bare name at any depth, as file or directory',
    { paths: ['cache'] },
    ['cache', 'a/cache', 'a/cache/b'],
    ['cached', 'a/my-cache'],
  ],
  [
    'a path with a slash only from the top',
    { paths: ['web/cache'] },
    ['web/cache', 'web/cache/x'],
    ['a/web/cache', 'web', 'cache'],
  ],
  ['a leading slash as an anchor', { paths: ['/cache', './tmp'] }, ['cache/x', 'tmp'], ['a/cache', 'a/tmp']],
  [
    'a slash at the end and double slashes as noise',
    { paths: ['cache/', 'a//b/'] },
    ['x/cache', 'a/b/c'],
    ['a/c'],
  ],
  ['a path as text, not as a glob', { paths: ['*.log', 'a/[x]'] }, ['b/*.log', 'a/[x]'], ['b.log', 'a/x']],
  [
    'a star that stops at a slash',
    { globs: ['src/*.log'] },
    ['src/a.log', 'src/.log'],
    ['src/a/b.log', 'a.log', 'x/src/a.log'],
  ],
  ['a question mark as one character', { globs: ['a?c'] }, ['abc', 'x/abc'], ['ac', 'abbc', 'a/c']],
  [
    'a glob without a slash as a name at any depth',
    { globs: ['*.log'] },
    ['a.log', 'b/c/a.log', '.log', 'x.log/inside'],
    ['a.logs'],
  ],
  [
    'two stars as any number of directories',
    { globs: ['src/**/*.log'] },
    ['src/a.log', 'src/b/c/a.log'],
    ['a.log', 'src/a.txt'],
  ],
  [
    'two stars inside a name as one',
    { globs: ['**.log', 'a**b'] },
    ['x.log', 'd/x.log', 'ab', 'a-b'],
    ['x.txt', 'a/b', 'README.md'],
  ],
  [
    'two stars at the end as all that is inside',
    { globs: ['out/**'] },
    ['out/a', 'out/a/b', 'out/.x'],
    ['outer/a', 'out'],
  ],
  ['dot files like others', { globs: ['**/*.tmp'] }, ['.tmp', '.a/.b.tmp'], ['tmp']],
  ['"!" and "#" as themselves', { globs: ['!keep', '#x'] }, ['!keep', '#x'], ['keep', 'other', 'x']],
  ['names that are not UTF-8', { globs: ['*.bin'] }, ['\udcff\udcfe.bin', 'd\udce9/x.bin'], ['\udcff.bit']],
]

for (const [rule, options, yes, no] of cases) {
  test(`ignores ${rule}`, () => {
    for (const path of yes) expect([path, ignored(options, path)]).toEqual([path, true])
    for (const path of no) expect([path, ignored(options, path)]).toEqual([path, false])
  })
}

test('rules that could mean nothing or everything are refused', () => {
  for (const options of [
    { paths: [''] },
    { paths: ['/'] },
    { paths: ['./'] },
    { paths: ['..'] },
    { paths: ['a/../b'] },
    { paths: ['a\0b'] },
    { globs: [''] },
    { globs: ['../*'] },
  ]) {
    expect(() => normalizeIgnoreRules(options)).toThrow(WorkspaceError)
  }
})

test('captures walk around what is ignored and count it, a directory once', async () => {
  const { path, capture } = await openWorkspace({ ignore: { paths: ['cache'], globs: ['*.log'] } })
  writeFiles(path, {
    'keep.txt': 'x',
    '.git/HEAD': 'x',
    'web/node_modules/a/b/c.js': 'x',
    'web/node_modules/a/d.js': 'x',
    'web/cache/1': 'x',
    'web/main.log': 'x',
    'logs/only.log': 'x',
  })
  const { coverage, metadata } = await capture()
  expect(coverage).toMatchObject({ complete: false, omitted: { ignored: 5 } })
  expect(coverage.examples.map((example) => example.path)).toEqual([
    '.git',
    'logs/only.log',
    'web/cache',
    'web/main.log',
    'web/node_modules',
  ])
  expect(metadata.entries).toBe(3)
})

test('what is ignored changes nothing, a directory that holds nothing else included', async () => {
  const { path, capture } = await openWorkspace()
  mkdirSync(join(path, 'web'))
  const before = await capture()
  writeFiles(path, { 'web/node_modules/a.js': 'x', '.git/HEAD': 'x' })
  expect((await capture()).ref).toBe(before.ref)
})

test('examples of what was left out stop at 100, the first by path', async () => {
  const { path, capture } = await openWorkspace({ ignore: { globs: ['*.log'] } })
  writeFiles(
    path,
    Object.fromEntries(Array.from({ length: 1100 }, (_, index) => [`${1100 - index}.log`, ''])),
  )
  const { coverage } = await capture()
  expect(coverage.omitted.ignored).toBe(1100)
  expect(coverage.examples.length).toBe(100)
  expect(coverage.examples[0]?.path).toBe('1.log')
  expect(coverage.examples[99]?.path).toBe('1088.log')
})

test('snapshots taken under different rules are compared where both looked', async () => {
  const { path, stateDirectory, backend, capture } = await openWorkspace()
  writeFiles(path, { 'a.txt': '1', 'logs/a.log': '1', 'node_modules/a.js': '1' })
  const before = await capture()
  writeFiles(path, { 'a.txt': '2' })
  const other = await openHashBackend({ path, stateDirectory, ignore: { paths: ['logs'], defaults: false } })
  const after = await other.capture({ label: 'after' })
  for (const opened of [backend, other]) {
    const changes = await opened.changes(before, after)
    expect(changes.map((change) => change.path)).toEqual(['a.txt'])
  }
})
