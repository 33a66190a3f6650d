import { writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { filterPatch, quoteNames } from '../../../src/snapshot/git/capture/filter-patch.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { collect, createFixture } from './git-fixture.ts'

const patch = Buffer.from(
  [
    'diff --git a/d /f b/d /f\n',
    ' diff --git a/d /f b/d /f\n',
    '-x\rdiff --git a/d /f b/d /f\n',
    `+${'a line that is long '.repeat(3)}\n`,
    'diff\n',
    'diff --git "a/d /\\"f" "b/d /\\"f"\n',
    '+one\n',
    'diff --git a/x y b/x y\n',
    'diff --git a/d /f  b/d /f \n',
    '+two\n',
  ].join(''),
)

async function* inPieces(size: number) {
  for (let at = 0; at < patch.length; at += size) yield patch.subarray(at, at + size)
}

it('puts the names of a header into quotes where a directory ends in a space', () => {
  const text = quoteNames(patch).toString()
  expect(text.split('\n').filter((line) => line.startsWith('diff --git'))).toEqual([
    'diff --git "a/d /f" "b/d /f"',
    'diff --git "a/d /\\"f" "b/d /\\"f"',
    'diff --git a/x y b/x y',
    'diff --git "a/d /f " "b/d /f "',
  ])
  expect(text.replaceAll('"', '')).toBe(patch.toString().replaceAll('"', ''))
})

it('leaves files out, wherever the patch is divided', async () => {
  const whole = quoteNames(patch).toString()
  for (let size = 1; size <= patch.length; size += 1) {
    expect((await collect(filterPatch(inPieces(size), new Set()))).toString()).toBe(whole)
    const part = await collect(filterPatch(inPieces(size), new Set(['d /f', 'd /f '])))
    expect(part.toString()).toBe('diff --git "a/d /\\"f" "b/d /\\"f"\n+one\ndiff --git a/x y b/x y\n')
  }
})

it('leaves precious files out and nothing else, whatever byte is in their names', async () => {
  const { path, stateDirectory } = createFixture()
  const bytes = Array.from({ length: 255 }, (_, index) => index + 1).filter((byte) => byte !== 47)
  const write = (content: string) => {
    for (const byte of bytes)
      writeFileSync(Buffer.from(`${path}/${String.fromCharCode(byte)}secret`, 'latin1'), content)
  }
  write('one\n')
  const backend = await openGitBackend({ path, stateDirectory, precious: ['[!o]secret'] })
  const before = (await backend?.capture({ label: 'before' })) ?? expect.fail('there is no repository')
  write('two\n')
  const after = (await backend?.capture({ label: 'after' })) ?? before
  const text = (await collect(backend?.patch(before, after) ?? inPieces(1))).toString('latin1')
  expect(text.match(/^diff --git .*$/gm)).toEqual(['diff --git a/osecret b/osecret'])
  expect(text.match(/^\+two$/gm)).toHaveLength(1)
})
