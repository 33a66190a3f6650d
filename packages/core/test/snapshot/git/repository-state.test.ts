import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { openPrivateRepository } from '../../../src/snapshot/git/private/private-repository.ts'
import {
  loadRepositoryState,
  readStored,
  recordRepositoryState,
  type ReadIndex,
} from '../../../src/snapshot/git/user/repository-state.ts'
import { readIndexStamp } from '../../../src/snapshot/git/user/tracked-files.ts'
import { findUserRepository } from '../../../src/snapshot/git/user/user-repository.ts'
import { createFixture } from './git-fixture.ts'

afterEach(() => vi.restoreAllMocks())

/** What is recorded, so long after the index was written, when somebody gives one that he has read before. */
async function recorded(ageMs: number, handed: (stamp: string) => ReadIndex) {
  const { path, stateDirectory } = createFixture()
  const index = join(path, '.git/index')
  const user = await findUserRepository(path, stateDirectory)
  if (typeof user === 'string') throw new Error(user)
  const own = await openPrivateRepository(stateDirectory, user.format)
  vi.spyOn(Date, 'now').mockReturnValue(Math.floor(statSync(index).ctimeMs) + ageMs)
  const id = await recordRepositoryState(own, user, handed(readIndexStamp(index)))
  const { content = '' } = loadRepositoryState(own, id ?? '').index ?? {}
  return { stored: readStored(own, content), actual: readFileSync(index) }
}

const other = Buffer.from('another index')

it('an index that is at hand is not read again where it is the one that is there', async () => {
  const { stored } = await recorded(60_000, (indexStamp) => ({ indexStamp, bytes: other }))
  expect(stored).toEqual(other)
})

it.each([
  ['there is another one now', 60_000, (stamp: string) => `${stamp}0`],
  ['it had changed a moment ago, and may have changed again', 0, (stamp: string) => stamp],
])('an index that is at hand does not count where %s', async (_, ageMs, stampOf) => {
  const { stored, actual } = await recorded(ageMs, (stamp) => ({ indexStamp: stampOf(stamp), bytes: other }))
  expect(stored).toEqual(actual)
})
