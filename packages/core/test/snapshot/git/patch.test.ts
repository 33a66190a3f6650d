import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collect, createFixture, createScratch, describeTree } from './git-fixture.ts'

type Node = { readonly content: Uint8Array; readonly executable: boolean } | { readonly target: string }
type Tree = Readonly<Record<string, Node>>

const nameBytes = fc.constantFrom(
  'a',
  'b',
  'dir',
  'x.txt',
  'ü',
  'sp ace',
  'q"uote',
  'new\nline',
  '-dash',
  '\xff\xfe',
  'tab\t',
)
const paths = fc.array(nameBytes, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
const content = fc.oneof(
  fc
    .constantFrom(
      '',
      'a\nb\nc\n',
      'a\r\nb\r\n',
      'no newline',
      'a\nB\nc\n',
      '\xe9t\xe9\n',
      'diff --git a/x b/x\n-- \n',
    )
    .map((text) => Buffer.from(text, 'latin1')),
  fc.uint8Array({ maxLength: 200 }),
)
const node: fc.Arbitrary<Node> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ content, executable: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ target: fc.constantFrom('../..', '/nowhere', 'no/where') }) },
)
const tree: fc.Arbitrary<Tree> = fc.dictionary(paths, node, { maxKeys: 8 }).map((entries) => {
  const kept: Record<string, Node> = {}
  for (const path of Object.keys(entries).toSorted()) {
    const parts = path.split('/')
    const isBelowFile = parts.some(
      (_, depth) => depth > 0 && kept[parts.slice(0, depth).join('/')] !== undefined,
    )
    const entry = entries[path]
    if (!isBelowFile && entry !== undefined) kept[path] = entry
  }
  return kept
})

function replaceTree(root: string, entries: Tree): void {
  for (const name of readdirSync(root, { encoding: 'buffer' })) {
    if (name.toString() !== '.git')
      rmSync(Buffer.concat([Buffer.from(`${root}/`), name]) as never, { recursive: true })
  }
  for (const [path, entry] of Object.entries(entries)) {
    const bytes = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')])
    mkdirSync(bytes.subarray(0, bytes.lastIndexOf('/')), { recursive: true })
    if ('target' in entry) symlinkSync(entry.target, bytes)
    else {
      writeFileSync(bytes, entry.content)
      chmodSync(bytes, entry.executable ? 0o755 : 0o644)
    }
  }
}

describe('a patch', () => {
  it('turns the before state into the after state byte for byte, and a rollback turns it back (cases 89, 90, 91, 92)', async () => {
    const { open, path, outside } = createFixture()
    const backend = await open()
    const copy = join(outside, 'copy')
    await fc.assert(
      fc.asyncProperty(tree, tree, async (from, to) => {
        replaceTree(path, from)
        const before = await backend.capture({ label: 'before' })
        const original = describeTree(path)
        rmSync(copy, { recursive: true, force: true })
        mkdirSync(copy)
        execFileSync('cp', ['-a', `${path}/.`, copy])
        replaceTree(path, to)
        const expected = describeTree(path)
        const after = await backend.capture({ label: 'after', previous: before })
        const patch = await collect(backend.patch(before, after))
        if (patch.length > 0) {
          execFileSync('git', ['apply', '--whitespace=nowarn', '-'], {
            cwd: copy,
            input: patch,
            stdio: ['pipe', 'pipe', 'pipe'],
          })
        }
        expect(withoutDirectories(describeTree(copy))).toEqual(withoutDirectories(expected))
        const changes = await backend.changes(before, after)
        expect(await collect(backend.patch(before, after))).toEqual(patch)
        expect(changes.map((change) => change.path).length).toBe(
          new Set(changes.map((change) => change.path)).size,
        )
        expect(patch.length === 0).toBe(
          changes.every((change) => (change.after ?? change.before)?.type === 'directory'),
        )
        const result = await backend.rollback(before, { expected: after })
        expect(result.verified).toBe(true)
        expect(describeTree(path)).toEqual(original)
      }),
      { numRuns: 30, seed: 7 },
    )
  })

  it('is taken by git apply also where the name of a directory ends in a space', async () => {
    const { open, path, write, outside } = createFixture()
    write('end /mode', 'x\n')
    write('end /binary', 'x\n')
    cpSync(path, join(outside, 'copy'), { recursive: true })
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    chmodSync(join(path, 'end /mode'), 0o755)
    write('end /binary', 'x\0\n')
    write('end /empty', '')
    write('new\nline /empty', '')
    write('text', 'x\rdiff --git a/end /x b/end /x\n')
    const after = await backend.capture({ label: 'after', previous: before })
    const streamed = await collect(backend.patch(before, after))
    await backend.changes(before, after)
    expect(await collect(backend.patch(before, after))).toEqual(streamed)
    execFileSync('git', ['apply', '-'], { cwd: join(outside, 'copy'), input: streamed })
    expect(describeTree(join(outside, 'copy'))).toEqual(describeTree(path))
  })

  it('is applied byte for byte by the command of the guide, whatever git would convert', async () => {
    const { open, path, write, git } = createFixture()
    const home = createScratch()
    writeFileSync(join(home, 'attributes'), '* ident text eol=crlf\n')
    writeFileSync(
      join(home, '.gitconfig'),
      `[core]\nautocrlf = true\nattributesFile = ${join(home, 'attributes')}\n[apply]\nwhitespace = fix\n`,
    )
    git('config', 'core.autocrlf', 'true')
    write('.gitattributes', '*.txt ident\n*.crlf eol=crlf\n*.utf16 working-tree-encoding=UTF-16\n')
    const texts = ['$Id: 1 $\na\n', '$Id$\r\na\r\n', 'a\r\nb \nc\t\r\n']
    const names = texts.flatMap((_, index) => [`${index}.txt`, `${index}.crlf`, `${index}.utf16`])
    const edit = (text: string, suffix: string) => {
      for (const name of names) write(name, (texts[Number(name[0])] ?? '') + text)
      write(`new${suffix}.crlf`, '$Id$\nx \n')
    }
    edit('before\n', '')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    edit('after \r\n', '2')
    const after = await backend.capture({ label: 'after', previous: before })
    const patch = await collect(backend.patch(before, after))
    const expected = describeTree(path)
    await backend.rollback(before)
    const apply = (...command: string[]) =>
      execFileSync('git', [...command, '-'], {
        cwd: path,
        input: patch,
        env: { PATH: process.env['PATH'], HOME: home },
        stdio: ['pipe', 'pipe', 'pipe'],
      })
    expect(() => apply('apply')).toThrow('patch does not apply')
    const guide = readFileSync(
      new URL('../../../../../docs/guides/getting-started.md', import.meta.url),
      'utf8',
    )
    const command = /^git (.+ apply .+) change\.patch$/m.exec(guide)?.[1]?.split(' ') ?? []
    apply(...command)
    expect(describeTree(path)).toEqual(expected)
  })

  it('is relative to a workspace inside the repository', async () => {
    const { open, path, write, outside } = createFixture()
    cpSync(join(path, 'src'), join(outside, 'src'), { recursive: true })
    const backend = await open(join(path, 'src'))
    const before = await backend.capture({ label: 'before' })
    write('src/b.txt', 'changed\n')
    write('a.txt', 'not in the workspace\n')
    const patch = await collect(backend.patch(before, await backend.capture({ label: 'after' })))
    execFileSync('git', ['apply', '-'], { cwd: join(outside, 'src'), input: patch })
    expect(describeTree(join(outside, 'src'))).toEqual(describeTree(join(path, 'src')))
  })

  it('is empty between equal states, and stops when the reader does or a signal says so', async () => {
    const { open, write } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    expect(await collect(backend.patch(before, before))).toHaveLength(0)
    write('big.txt', 'line\n'.repeat(1_000_000))
    const after = await backend.capture({ label: 'after' })
    for await (const chunk of backend.patch(before, after)) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    const controller = new AbortController()
    const reading = (async () => {
      for await (const chunk of backend.patch(before, after, { signal: controller.signal })) {
        if (chunk.length > 0) controller.abort(new Error('enough'))
      }
    })()
    await expect(reading).rejects.toThrow('enough')
  })

  it('knows nothing of attributes, prefixes and colours in the configuration (case 89)', async () => {
    const { open, write, git } = createFixture()
    git('config', 'diff.noprefix', 'true')
    git('config', 'color.ui', 'always')
    git('config', 'diff.mnemonicPrefix', 'true')
    write('.gitattributes', '*.txt -diff\n')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'one\nTWO\n')
    const patch = await collect(backend.patch(before, await backend.capture({ label: 'after' })))
    expect(patch.toString()).toContain('--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n')
  })
})

describe('the list of changes', () => {
  it('has status, modes, sizes, line counts, binary and unique renames (case 92)', async () => {
    const { open, write, path } = createFixture()
    write('bin', Buffer.from([0, 1, 2]))
    write('moved.txt', 'moved\n')
    write('twin1', 'same\n')
    write('twin2', 'same\n')
    write('plain.txt', 'x\n')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('bin', Buffer.from([0, 1, 2, 3]))
    for (const name of ['moved.txt', 'twin1', 'twin2', 'src/b.txt']) rmSync(join(path, name))
    write('target/moved.txt', 'moved\n')
    write('twin3', 'same\n')
    chmodSync(join(path, 'plain.txt'), 0o600)
    symlinkSync('../a.txt', join(path, 'src/b.txt'))
    write('a.txt', 'one\n2\n3\n')
    const changes = await backend.changes(before, await backend.capture({ label: 'after' }))
    expect(changes.map(({ path: name, status }) => `${status} ${name}`)).toEqual([
      'modified a.txt',
      'modified bin',
      'deleted moved.txt',
      'mode-changed plain.txt',
      'type-changed src/b.txt',
      'added target/moved.txt',
      'deleted twin1',
      'deleted twin2',
      'added twin3',
    ])
    const by = Object.fromEntries(changes.map((change) => [change.path, change]))
    expect(by['a.txt']).toMatchObject({
      insertions: 2,
      deletions: 1,
      binary: false,
      before: { size: 8 },
      after: { size: 8, mode: 0o644 },
    })
    expect(by['bin']).toMatchObject({
      insertions: null,
      deletions: null,
      binary: true,
      before: { size: 3 },
      after: { size: 4 },
    })
    expect(by['plain.txt']).toMatchObject({ before: { mode: 0o644 }, after: { mode: 0o600 } })
    expect(by['src/b.txt']).toMatchObject({
      before: { type: 'file' },
      after: { type: 'symlink', mode: 0o777, size: 8 },
    })
    expect(by['target/moved.txt']?.renamedFrom).toBe('moved.txt')
    expect(by['twin3']?.renamedFrom).toBeUndefined()
    expect(lstatSync(join(path, 'plain.txt')).mode & 0o777).toBe(0o600)
  })
})

function withoutDirectories(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(tree).filter(([, text]) => !text.startsWith('directory')))
}
