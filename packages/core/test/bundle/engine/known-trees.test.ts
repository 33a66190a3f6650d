import { expect, it } from 'vitest'
import { hasKnownTree, useKnownTree } from '../../../src/bundle/engine/known/known-trees.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const REPOSITORY = '0'.repeat(32)

/** Lets this thread know a tree that says it has so many entries. */
async function know(entriesBelow: number): Promise<string> {
  const cache = temporaryDirectory()
  await useKnownTree(cache, REPOSITORY, async ({ directories }) => {
    const stats = new BigInt64Array()
    directories.set('', { node: '1'.repeat(64), entries: [], stats, entriesBelow, contentBytesBelow: 0 })
  })
  return cache
}

it('keeps the trees that were used last in memory, as long as they are not too large together', async () => {
  const [first, second] = [await know(60_000), await know(40_000)]
  expect([first, second].map((cache) => hasKnownTree(cache, REPOSITORY))).toEqual([true, true])
  const third = await know(1_000)
  expect([first, second, third].map((cache) => hasKnownTree(cache, REPOSITORY))).toEqual([false, true, true])
  const large = await know(5_000_000)
  expect([second, third, large].map((cache) => hasKnownTree(cache, REPOSITORY))).toEqual([false, false, true])
})
