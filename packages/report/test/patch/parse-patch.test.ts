import { decodePatch } from '@ws/core'
import { parsePatch as parseTextPatch } from 'diff'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parsePatch, type FilePatch } from '../../src/patch/parse-patch.ts'
import { readHunkLines, type HunkLine } from '../../src/patch/read-hunk-lines.ts'
import { unquotePath } from '../../src/patch/unquote-path.ts'
import { hostileTexts } from '../support/hostile-texts.ts'
import { diffOf, runInRepository, type Files } from '../support/run-in-repository.ts'

const noCaps = { maxLines: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY }

async function patchOf(before: Files, after: Files): Promise<Uint8Array> {
  const run = await runInRepository({ before, after, maxPatchBytes: 64 * 1024 * 1024 })
  return decodePatch(diffOf(run)) ?? Buffer.alloc(0)
}

function linesOf(patch: Uint8Array, file: FilePatch | undefined): HunkLine[] {
  return (file?.hunks ?? []).flatMap((hunk) => readHunkLines(patch, hunk, noCaps).lines)
}

/** Applies hunks to text in the plainest way there is. */
function apply(patch: Uint8Array, file: FilePatch, before: string): string {
  const old = before === '' ? [] : before.split(/(?<=\n)/)
  const now: string[] = []
  let at = 0
  for (const hunk of file.hunks) {
    const start = hunk.oldLines === 0 ? hunk.oldStart : hunk.oldStart - 1
    now.push(...old.slice(at, start))
    at = start + hunk.oldLines
    for (const line of readHunkLines(patch, hunk, noCaps).lines) {
      if (line.kind !== 'removed') now.push(`${line.text}${line.lacksNewline ? '' : '\n'}`)
    }
  }
  return [...now, ...old.slice(at)].join('')
}

describe('a patch that the git backend made', () => {
  it('is read so that its hunks turn each of many random files into what it became', async () => {
    const line = fc.constantFrom(
      'a',
      'b',
      'c',
      '',
      ' ',
      '+',
      '-',
      '--- a/x',
      '+++ b/x',
      '@@ -1 +1 @@',
      '\\ No newline',
      'diff --git a/x b/x',
    )
    const text = fc
      .tuple(fc.array(line, { maxLength: 30 }), fc.boolean())
      .map(([lines, ends]) => lines.join('\n') + (ends ? '\n' : ''))
    const pairs = fc.sample(fc.tuple(text, text), { numRuns: 300, seed: 42 })
    const before = Object.fromEntries(pairs.map(([old], index) => [`f${index}`, old]))
    const after = Object.fromEntries(pairs.map(([, now], index) => [`f${index}`, now]))
    const patch = await patchOf(before, after)
    const files = new Map(parsePatch(patch).map((file) => [file.path, file]))
    expect(files.size).toBeGreaterThan(250)
    for (const [path, file] of files)
      expect([path, apply(patch, file, before[path] ?? '')]).toEqual([path, after[path]])
    for (const [index, [old, now]] of pairs.entries()) expect(files.has(`f${index}`)).toBe(old !== now)
  })

  it('has the hunks that the diff package finds', async () => {
    const text = (step: number) =>
      Array.from({ length: 400 }, (_, index) => (index % step === 0 ? `x${index}` : `line ${index}`)).join(
        '\n',
      )
    const patch = await patchOf({ a: text(37), b: text(50) }, { a: text(41), b: text(3) })
    const shape = (
      hunks: readonly { oldStart: number; oldLines: number; newStart: number; newLines: number }[],
    ) => hunks.map(({ oldStart, oldLines, newStart, newLines }) => [oldStart, oldLines, newStart, newLines])
    const expected = parseTextPatch(Buffer.from(patch).toString()).map((file) => shape(file.hunks))
    expect(parsePatch(patch).map((file) => shape(file.hunks))).toEqual(expected)
    expect(expected[0]?.length).toBeGreaterThan(5)
  })

  it('gives every hostile name back exactly', async () => {
    const names = hostileTexts.filter((text) => !text.includes('/'))
    const patch = await patchOf(
      {},
      Object.fromEntries([...names, 'deep b/x b/y'].map((name) => [name, 'x\n'])),
    )
    expect(
      parsePatch(patch)
        .map((file) => file.path)
        .toSorted(),
    ).toEqual([...names, 'deep b/x b/y'].toSorted())
  })

  it('shows a binary file as binary, without lines', async () => {
    const bytes = Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) % 256))
    const patch = await patchOf({ 'a.bin': bytes }, { 'a.bin': bytes.toReversed(), 'b.txt': 'b\n' })
    expect(parsePatch(patch).map(({ path, isBinary, hunks }) => [path, isBinary, hunks.length])).toEqual([
      ['a.bin', true, 0],
      ['b.txt', false, 1],
    ])
  })

  it('numbers lines on both sides and knows a last line without a line feed', async () => {
    const patch = await patchOf({ a: 'one\ntwo\nthree' }, { a: 'one\n2\nthree\n' })
    const rows = linesOf(patch, parsePatch(patch)[0]).map((line) => [
      line.kind,
      line.oldNumber,
      line.newNumber,
      line.text,
      line.lacksNewline,
    ])
    expect(rows).toEqual([
      ['context', 1, 1, 'one', false],
      ['removed', 2, null, 'two', false],
      ['removed', 3, null, 'three', true],
      ['added', null, 2, '2', false],
      ['added', null, 3, 'three', false],
    ])
  })

  it('keeps bytes that are not UTF-8', async () => {
    const patch = await patchOf({}, { a: Buffer.from([0x61, 0xff, 0xc3, 0x28, 0x0a]) })
    expect(linesOf(patch, parsePatch(patch)[0])[0]?.text).toBe('a\udcff\udcc3(')
  })
})

describe('lines of a hunk', () => {
  it('drop carriage returns when all have one, and keep them when some have', async () => {
    const patch = await patchOf(
      { all: 'a\r\nb\r\n', some: 'a\r\nb\r\n' },
      { all: 'a\r\nc\r\n', some: 'a\r\nb\n' },
    )
    const [all, some] = parsePatch(patch)
    expect(linesOf(patch, all).map((line) => line.text)).toEqual(['a', 'b', 'c'])
    expect(linesOf(patch, some).map((line) => line.text)).toEqual(['a\r', 'b\r', 'b'])
  })

  it('stop at the caps and count what is left', async () => {
    const patch = await patchOf({}, { a: 'line\n'.repeat(1000) })
    const hunk = parsePatch(patch)[0]?.hunks[0]
    if (hunk === undefined) throw new Error('no hunk')
    expect(readHunkLines(patch, hunk, { ...noCaps, maxLines: 10 })).toMatchObject({
      linesLeftOut: 990,
      bytes: 50,
    })
    expect(readHunkLines(patch, hunk, { ...noCaps, maxBytes: 100 })).toMatchObject({
      linesLeftOut: 980,
      bytes: 100,
    })
  })

  it('are cut between characters when they are long, with the rest counted in bytes', async () => {
    const patch = await patchOf({}, { a: `a${'漢'.repeat(1000)}\n` })
    const [line] = linesOf(patch, parsePatch(patch)[0])
    expect(line?.text).toBe(`a${'漢'.repeat(682)}`)
    expect(line?.bytesCut).toBe(3001 - 2047)
  })
})

describe('damaged patches', () => {
  it.each([
    ['nothing', ''],
    ['a hunk without a file', '@@ -1 +1 @@\n-a\n+b\n'],
    ['a hunk that ends early', 'diff --git a/x b/x\n@@ -1,9 +1,9 @@\n-a'],
    ['names that differ', 'diff --git a/x b/y\n@@ -1 +1 @@\n-a\n+b\n'],
    ['an open quote', 'diff --git "a/x "b/x\n'],
    ['no line feed at all', 'diff --git a/x b/x'],
    ['a header of a megabyte', `diff --git "a/${'\\\\'.repeat(500_000)}" "b/x"\n`],
  ])('do not throw: %s', (_, text) => {
    for (const file of parsePatch(Buffer.from(text)))
      expect(linesOf(Buffer.from(text), file).length).toBeLessThan(2)
  })

  it('do not throw whatever the bytes', () => {
    const part = fc.constantFrom(
      'diff --git a/x b/x\n',
      '@@ -1,2 +1,3 @@ f\n',
      '+a\n',
      '-b\n',
      ' c\n',
      '\\ No\n',
      'GIT binary patch\n',
      '\n',
      '"',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        const patch = Buffer.from(parts.join(''))
        for (const file of parsePatch(patch)) linesOf(patch, file)
      }),
    )
  })

  it('have no path where a quoted name is malformed', () => {
    expect(unquotePath('"a\\q"')).toBeNull()
    expect(unquotePath('"a\\9"')).toBeNull()
    expect(unquotePath('"a')).toBeNull()
  })
})
