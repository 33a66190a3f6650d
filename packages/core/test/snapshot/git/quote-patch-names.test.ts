import { expect, it } from 'vitest'
import { quoteNames, quotePatchNames } from '../../../src/snapshot/git/capture/quote-patch-names.ts'
import { collect } from './git-fixture.ts'

const patch = Buffer.from(
  [
    'diff --git a/d /f b/d /f\n',
    ' diff --git a/d /f b/d /f\n',
    '-x\rdiff --git a/d /f b/d /f\n',
    `+${'a line that is long '.repeat(3)}\n`,
    'diff\n',
    'diff --git "a/d /\\"f" "b/d /\\"f"\n',
    'diff --git a/x y b/x y\n',
    'diff --git a/d /f  b/d /f \n',
    '+no end d',
  ].join(''),
)

it('puts the names of a header into quotes where a directory ends in a space', () => {
  expect(
    quoteNames(patch)
      .toString()
      .split('\n')
      .filter((line) => line.startsWith('diff --git')),
  ).toEqual([
    'diff --git "a/d /f" "b/d /f"',
    'diff --git "a/d /\\"f" "b/d /\\"f"',
    'diff --git a/x y b/x y',
    'diff --git "a/d /f " "b/d /f "',
  ])
  expect(quoteNames(patch).toString().replaceAll('"', '')).toBe(patch.toString().replaceAll('"', ''))
})

it('does so wherever the patch is divided', async () => {
  for (let size = 1; size <= patch.length; size += 1) {
    const chunks = async function* () {
      for (let at = 0; at < patch.length; at += size) yield patch.subarray(at, at + size)
    }
    expect(await collect(quotePatchNames(chunks()))).toEqual(quoteNames(patch))
  }
})
