import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { writeHunks } from '../../../src/snapshot/bundle/write-hunks.ts'
import { diffLines } from '../../../src/snapshot/bundle/diff-lines.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { applyEdit, edit } from '../agreement/apply-edits.ts'
import { collect, createFixture, describeTree } from './bundle-fixture.ts'

/** Applies a patch to a plain directory, as somebody without a repository would. */
function gitApply(directory: string, patch: Buffer, ...options: string[]): void {
  execFileSync('git', ['apply', '--whitespace=nowarn', ...options, '-'], {
    cwd: directory,
    input: patch,
    env: {
      PATH: process.env['PATH'],
      HOME: '/nonexistent',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CEILING_DIRECTORIES: '/',
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

/** What a patch can say: no empty directories, and of permissions only whether the owner may execute. */
function asGitHasIt(root: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(describeTree(root)).flatMap(([path, text]) => {
      if (text.startsWith('directory')) return []
      const [type, mode = '', content] = text.split(' ')
      if (type !== 'file') return [[path, text]]
      return [[path, `file ${(Number.parseInt(mode, 8) & 0o100) === 0 ? '-' : 'x'} ${content}`]]
    }),
  )
}

function copyOf(path: string): string {
  const copy = join(temporaryDirectory(), 'copy')
  cpSync(path, copy, { recursive: true, verbatimSymlinks: true })
  return copy
}

it('gives a patch that git apply turns the one state into the other with, and back', async () => {
  const { path, open, write } = createFixture()
  write('dos.txt', 'a\r\nb\r\n')
  write('no-end.txt', 'one\ntwo')
  write('empty.txt', '')
  write('run.sh', '#!/bin/sh\n')
  write('data.bin', Buffer.from([0, 1, 2, 3, 255]))
  write('gone.bin', Buffer.alloc(300_000, 0))
  write('long.txt', Array.from({ length: 2000 }, (_, line) => `line ${line}\n`).join(''))
  write('late-zero.txt', `${'text\n'.repeat(3000)}\0 zero\n`)
  write('with space.txt', 'x\n')
  write('quo"te\tand\nline', 'x\n')
  symlinkSync('a.txt', join(path, 'link'))
  const backend = await open()
  const before = await backend.capture({ label: 'before' })
  const old = copyOf(path)
  write('dos.txt', 'a\r\nb\nc\r\n')
  write('no-end.txt', 'one\ntwo\nthree')
  write('empty.txt', 'not any more')
  write('run.sh', '#!/bin/sh\n', 0o755)
  write('data.bin', Buffer.from([0, 1, 2, 4, 255]))
  rmSync(join(path, 'gone.bin'))
  write('big.bin', Buffer.from(Array.from({ length: 200_001 }, (_, at) => (at * at) % 251)))
  write('new-empty', '')
  write(
    'long.txt',
    Array.from({ length: 2000 }, (_, line) => (line % 97 === 0 ? '' : `line ${line}\n`)).join('') + 'end',
  )
  write('late-zero.txt', `${'text\n'.repeat(3000)}\0 one\n`)
  write('with space.txt', 'y\n')
  write('quo"te\tand\nline', 'y\n')
  rmSync(join(path, 'link'))
  symlinkSync('b\nwith a newline', join(path, 'link'))
  rmSync(join(path, 'src'), { recursive: true })
  write('src', 'a file now\n')
  rmSync(join(path, 'a.txt'))
  write('a.txt/inside', 'x\n')
  const after = await backend.capture({ label: 'after' })

  const patch = await collect(backend.patch(before, after))
  const copy = copyOf(old)
  gitApply(copy, patch)
  expect(asGitHasIt(copy)).toEqual(asGitHasIt(path))
  gitApply(copy, patch, '--reverse')
  expect(asGitHasIt(copy)).toEqual(asGitHasIt(old))
})

it('is the patch that git makes, for files of every kind', async () => {
  const { path, outside, open, write } = createFixture()
  write('data.bin', Buffer.from([0, 1, 2, 3, 255]))
  write('caf\u00e9.txt', 'x\n')
  write('mode.sh', 'echo\n')
  write('spaced name', 'x\n')
  const backend = await open()
  const before = await backend.capture({ label: 'before' })
  const old = copyOf(path)
  write('a.txt', 'one\nthree\nfour')
  write('data.bin', Buffer.from([0, 9, 2, 3, 255, 1]))
  write('caf\u00e9.txt', 'y\n')
  write('mode.sh', 'echo 1\n', 0o755)
  write('spaced name', 'z\n')
  write('new', 'n\n')
  const after = await backend.capture({ label: 'after' })

  const git = (...args: string[]): Buffer =>
    execFileSync('git', [`--git-dir=${outside}/git`, ...args], {
      env: {
        PATH: process.env['PATH'],
        HOME: '/nonexistent',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_AUTHOR_NAME: 'A',
        GIT_AUTHOR_EMAIL: 'a@example.com',
        GIT_COMMITTER_NAME: 'A',
        GIT_COMMITTER_EMAIL: 'a@example.com',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  mkdirSync(join(outside, 'git'))
  git('init', '--quiet', '--bare')
  const trees = [old, path].map((directory) => {
    git(`--work-tree=${directory}`, 'add', '--all')
    return git('write-tree').toString().trim()
  })
  const theirs = git('diff-tree', '-r', '-p', '--binary', '--full-index', '--no-renames', ...trees).toString(
    'latin1',
  )
  // A change of the compression of binary content is none of what the patch says.
  const withoutLiterals = (text: string) => text.replace(/(literal|delta) \d+\n([^\n]+\n)+\n/g, '$1\n')
  const ours = (await collect(backend.patch(before, after))).toString('latin1')
  expect(withoutLiterals(ours)).toBe(withoutLiterals(theirs).replaceAll('delta', 'literal'))
})

function holdsLoop(directory: string): boolean {
  const links = execFileSync('find', [directory, '-type', 'l', '-print0'], { encoding: 'latin1' })
  return links
    .split('\0')
    .slice(0, -1)
    .some((link) => {
      try {
        statSync(Buffer.from(link, 'latin1'))
        return false
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'ELOOP'
      }
    })
}

it('turns any state into any other', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(edit, { maxLength: 8 }),
      fc.array(edit, { minLength: 1, maxLength: 8 }),
      async (first, second) => {
        const { path, open } = createFixture()
        for (const step of first) applyEdit(path, step)
        const backend = await open()
        const before = await backend.capture({ label: 'before' })
        const copy = copyOf(path)
        // Where such a link becomes a directory, git looks through it for what the patch puts there.
        fc.pre(!holdsLoop(copy))
        for (const step of second) applyEdit(path, step)
        const after = await backend.capture({ label: 'after' })
        const patch = await collect(backend.patch(before, after))
        // git knows no empty directories, and stops at one that is in the way.
        execFileSync('find', [copy, '-mindepth', '1', '-type', 'd', '-empty', '-delete'])
        if (patch.length > 0) gitApply(copy, patch)
        expect(asGitHasIt(copy)).toEqual(asGitHasIt(path))
      },
    ),
    { numRuns: 30 },
  )
})

const line = fc.constantFrom('a\n', 'b\n', 'c\n', '\n', 'd\r\n', '\xff\n')
const text = fc
  .tuple(fc.array(line, { maxLength: 30 }), fc.constantFrom('', 'end'))
  .map(([lines, end]) => Buffer.from(lines.join('') + end, 'latin1'))

it('marks as few lines as a quadratic comparison does', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const diff = diffLines(before, after)
      const lines = (bytes: Buffer) => bytes.toString('latin1').match(/[^\n]*\n|[^\n]+$/g) ?? []
      const [left, right] = [lines(before), lines(after)]
      const table = Array.from({ length: left.length + 1 }, () =>
        Array.from({ length: right.length + 1 }, () => 0),
      )
      for (let row = left.length - 1; row >= 0; row -= 1)
        for (let column = right.length - 1; column >= 0; column -= 1)
          table[row]![column] =
            left[row] === right[column]
              ? table[row + 1]![column + 1]! + 1
              : Math.max(table[row + 1]![column]!, table[row]![column + 1]!)
      const keptLeft = left.filter((_, index) => diff.removed[index] === 0)
      const keptRight = right.filter((_, index) => diff.added[index] === 0)
      expect(keptLeft).toEqual(keptRight)
      expect(keptLeft.length).toBe(table[0]![0])
    }),
    { numRuns: 2000 },
  )
})

it('stays correct, and quick, where nearly everything differs', () => {
  const noise = (seed: number): Buffer => {
    let state = seed
    let content = ''
    for (let index = 0; index < 60_000; index += 1) {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
      content += `${state % 50}\n`
    }
    return Buffer.from(content)
  }
  const [before, after] = [noise(1), noise(2)]
  const directory = temporaryDirectory()
  const hunks = Buffer.concat([
    Buffer.from('diff --git a/x b/x\n--- a/x\n+++ b/x\n'),
    writeHunks(before, after),
  ])
  execFileSync('sh', ['-c', 'cat > x'], { cwd: directory, input: before })
  gitApply(directory, hunks)
  expect(execFileSync('cat', ['x'], { cwd: directory, maxBuffer: 1 << 26 }).equals(after)).toBe(true)
})
