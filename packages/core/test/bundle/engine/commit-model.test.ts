import { Buffer } from 'node:buffer'
import { WorkspaceError, type ObjectStore } from '@ws/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readHistory } from '../../../src/bundle/engine/repository/list-versions.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { removeWorkspace } from '../../../src/bundle/engine/maintain/remove-versions.ts'
import { saveOnGuess } from '../../../src/bundle/engine/save/save-on-guess.ts'
import { saveVersion } from '../../../src/bundle/engine/save/save-version.ts'
import { isRemovedVersion } from '../../../src/bundle/engine/repository/version-number.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { fakeTree } from './fake-tree.ts'
import { seededRandom, simulate } from './simulated-store.ts'

const WRITERS = 5
const SAVES = 3
/** A put of a record takes effect within 40 s. */
const MAX_CALL_MS = 39_000
/** So that what takes many calls can be done while one is under way. */
const SHORT_CALL_MS = 3_000

type Ending = 'done' | 'died' | 'answer lost' | 'not done' | 'late'

describe('writers of one workspace on a store that ignores conditions', () => {
  it('never overwrite a record, and those who are told of success find theirs, whoever dies or hears nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), (seed) =>
        playWriters(seededRandom(seed), { writers: WRITERS, saves: SAVES }),
      ),
      { numRuns: 400 },
    )
  })

  it('never overwrite a record when two or three meet at every possible moment', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = seededRandom(seed)
        const writers = random() < 0.7 ? 2 : 3
        await playWriters(random, { writers, saves: 1, removes: random() < 0.3 })
      }),
      { numRuns: 4_000 },
    )
  })

  it('sixteen at once: one wins each round, all go on, and none waits for a claim to expire', async () => {
    for (let seed = 1; seed <= 50; seed += 1)
      await playWriters(seededRandom(seed), { writers: 16, saves: 1, isKind: true })
  })
})

interface Cast {
  readonly writers: number
  readonly saves: number
  /** Nobody dies, nothing is lost, nothing is removed. */
  readonly isKind?: boolean
  /** One more actor removes the workspace, and saves to it. */
  readonly removes?: boolean
}

async function playWriters(
  random: () => number,
  { writers, saves, isKind = false, removes = false }: Cast,
): Promise<void> {
  const simulation = simulate({
    random,
    listDelayMs: 0,
    // Among the kind nobody has to be waited for until a claim expires, so that much time does not pass.
    maxCallMs: isKind ? 5 : random() < 0.5 ? MAX_CALL_MS : SHORT_CALL_MS,
    maxJumpMs: isKind ? 5 : 90_000,
    onChange({ key, body }) {
      if (!key.includes('/versions/') || body === null) return
      // A put that nobody had heard of any more may come true beside the one that repeats it.
      const there = simulation.content(key)
      expect(there === null || Buffer.compare(there, body) === 0, `${key} is not overwritten`).toBe(true)
    },
  })
  let claims = 0
  const checked: ObjectStore = {
    ...simulation.store,
    capabilities: { ...simulation.store.capabilities, createIfAbsent: 'checked' },
    // As a gateway that passes the header over.
    put(key, body, options) {
      if (key.includes('/claims/')) claims += 1
      return simulation.store.put(key, body, { ...options, ifAbsent: false })
    },
  }
  const pause = (): Promise<void> => simulation.idle()
  const open = (store: ObjectStore): Promise<Repository> =>
    openRepository(store, { now: simulation.now, pause })
  const opening = open(checked)
  await simulation.run()
  const repository = await opening

  const committed: VersionRecord[] = []
  let removals = 0
  const failures: unknown[] = []
  const write = async (writer: number): Promise<void> => {
    let known: VersionRecord | null = null
    const store = isKind ? checked : dyingAtRandom(checked, random)
    const own: Repository = { ...repository, store }
    for (let save = 0; save < saves; save += 1) {
      if (saves > 1) await simulation.idle()
      if (writer === writers || (!isKind && saves > 1 && random() < 0.08)) {
        removals += 1
        await removeWorkspace(own, 'w')
        if (writer < writers) continue
      }
      const saved = await saveOnce(own, known, `${writer}.${save}`, random)
      if (saved === null) continue
      committed.push(saved)
      known = saved
    }
  }
  const all = Array.from({ length: writers + (removes ? 1 : 0) }, (_, writer) =>
    write(writer).catch((error: unknown) => {
      const isExpected =
        error instanceof Died ||
        (WorkspaceError.is(error) && ['CONFLICT', 'UNAVAILABLE', 'TIMEOUT'].includes(error.code))
      if (!isExpected) failures.push(error)
    }),
  )
  await simulation.run()
  await Promise.all(all)
  if (failures.length > 0) throw failures[0]

  const history = Array.fromAsync(readHistory(repository, 'w'))
  await simulation.run()
  const nonces = (await history).map(({ nonce }) => nonce)
  if (removals === 0) for (const { nonce } of committed) expect(nonces).toContain(nonce)
  if (isKind) {
    expect(nonces).toHaveLength(writers * saves)
    // Who waits claims nothing: else each would keep the one that stays from being alone.
    expect(claims).toBeLessThan(writers ** 2)
  }
  const shown = simulation
    .keys('workspaces/w/versions/')
    .filter((key) => !isRemovedVersion(simulation.content(key)?.length ?? 0))
  expect(shown).toHaveLength(nonces.length)
}

async function saveOnce(
  repository: Repository,
  known: VersionRecord | null,
  message: string,
  random: () => number,
): Promise<VersionRecord | null> {
  const options = {
    workspaceId: 'w',
    message,
    author: null,
    metadata: {},
    tags: [],
    onConflict: 'rebase' as const,
    writeTree: async (_parent: VersionRecord | null, target: Repository) => {
      const id = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
      if (random() < 0.3) return fakeTree([], [])
      await target.store.put(target.packKey(id), Buffer.from(id))
      return fakeTree([], [id])
    },
  }
  const begun = await saveOnGuess(repository, options, { parent: known, open: async () => repository })
  const saved = begun ?? (await saveVersion(repository, options))
  return saved.record
}

class Died extends Error {}

/** Now and then a process that is gone from a call on, and a call that is not answered, applied or not. */
function dyingAtRandom(inner: ObjectStore, random: () => number): ObjectStore {
  let isDead = false
  const around = async <T>(call: () => Promise<T>): Promise<T> => {
    if (isDead) throw new Died('is gone')
    const ending = endingOf(random())
    if (ending === 'not done') throw new WorkspaceError('TIMEOUT', 'no answer')
    const running = call()
    if (ending === 'late') {
      running.catch(() => undefined)
      throw new WorkspaceError('TIMEOUT', 'no answer so far')
    }
    const result = await running
    isDead ||= ending === 'died'
    if (isDead) throw new Died('dies')
    if (ending === 'answer lost') throw new WorkspaceError('TIMEOUT', 'no answer')
    return result
  }
  return {
    ...inner,
    get: (key, options) => around(() => inner.get(key, options)),
    head: (key, options) => around(() => inner.head(key, options)),
    put: (key, body, options) => around(() => inner.put(key, body, options)),
    delete: (key, options) => around(() => inner.delete(key, options)),
    async *list(prefix, options) {
      yield* await around(() => Array.fromAsync(inner.list(prefix, options)))
    },
  }
}

function endingOf(chance: number): Ending {
  if (chance < 0.01) return 'died'
  if (chance < 0.03) return 'answer lost'
  if (chance < 0.05) return 'late'
  return chance < 0.07 ? 'not done' : 'done'
}
