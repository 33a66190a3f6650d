import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import {
  claimVersion,
  waitForRivals,
  withdrawClaim,
} from '../../../src/bundle/engine/repository/version-claim.ts'

const VERSION = { workspaceId: 'w', version: 1 }

interface Waiting {
  readonly repository: Repository
  /** How long each pause was that the writer has made, in milliseconds. */
  readonly pauses: number[]
}

/** A repository whose time goes by in pauses only. @param onPause called with how many there have been, this one included */
async function openWaiting(onPause: (count: number) => unknown): Promise<Waiting> {
  let now = 0
  const pauses: number[] = []
  const repository = await openRepository(memoryStore(), {
    now: () => now,
    async pause(milliseconds) {
      now += milliseconds
      pauses.push(milliseconds)
      await onPause(pauses.length)
    },
  })
  return { repository, pauses }
}

async function claim(repository: Repository, nonce: string, attempt = 0): Promise<string> {
  const claimed = claimVersion(repository, { ...VERSION, nonce, attempt }, async () => null, undefined)
  await claimed.view
  return claimed.key
}

it('ends when the number is taken, whoever still claims it', async () => {
  let taken: 'removed' | null = null
  const { repository, pauses } = await openWaiting((count) => {
    if (count === 3) taken = 'removed'
  })
  const rival = await claim(repository, 'r')
  const waited = waitForRivals(repository, VERSION, [rival], async () => taken, undefined)
  expect(await waited).toBe('removed')
  expect(pauses).toEqual([20, 40, 80])
})

it('ends when no rival claims it any more, although others do', async () => {
  const { repository, pauses } = await openWaiting(async (count) => {
    if (count === 2) await repository.store.delete(rival)
  })
  const rival = await claim(repository, 'r')
  await claim(repository, 'other')
  expect(await waitForRivals(repository, VERSION, [rival], async () => null, undefined)).toBeNull()
  expect(pauses.length).toBe(2)
})

it('goes on while a rival claims it again under another name', async () => {
  const { repository, pauses } = await openWaiting(async (count) => {
    if (count === 1) {
      await claim(repository, 'r', 1)
      await repository.store.delete(rival)
    }
    if (count === 4) await repository.store.delete(repository.claimKey('w', 1, 'r-1'))
  })
  const rival = await claim(repository, 'r')
  expect(await waitForRivals(repository, VERSION, [rival], async () => null, undefined)).toBeNull()
  expect(pauses.length).toBe(4)
})

it('ends when a rival may have died: after a minute, with looks a second apart at most', async () => {
  const { repository, pauses } = await openWaiting(() => undefined)
  const rival = await claim(repository, 'r')
  expect(await waitForRivals(repository, VERSION, [rival], async () => null, undefined)).toBeNull()
  expect(Math.max(...pauses)).toBe(1_000)
  const waitedMs = pauses.reduce((sum, each) => sum + each, 0)
  expect(waitedMs).toBeGreaterThanOrEqual(60_000)
  expect(waitedMs).toBeLessThan(61_000)
})

it('a claim is taken away only after it has arrived', async () => {
  const { repository } = await openWaiting(() => undefined)
  const arrived = Promise.withResolvers<void>()
  const slow: Repository = {
    ...repository,
    store: {
      ...repository.store,
      async put(key, body, options) {
        await arrived.promise
        return repository.store.put(key, body, options)
      },
    },
  }
  const made = claimVersion(slow, { ...VERSION, nonce: 'n' }, async () => null, undefined)
  const withdrawn = withdrawClaim(slow, made)
  arrived.resolve()
  await Promise.all([withdrawn, made.view])
  expect(await repository.store.head(made.key)).toBeNull()
})

it('may put its record for 20 seconds', async () => {
  const { repository } = await openWaiting(() => undefined)
  const made = claimVersion(repository, { ...VERSION, nonce: 'n' }, async () => null, undefined)
  await repository.pause(19_999)
  expect(made.isFresh()).toBe(true)
  await repository.pause(1)
  expect(made.isFresh()).toBe(false)
})
