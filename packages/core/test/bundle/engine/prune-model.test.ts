import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { WorkspaceError } from '@ws/core'
import fc from 'fast-check'
import { forkVersion } from '../../../src/bundle/engine/save/fork-version.ts'
import { findVersion } from '../../../src/bundle/engine/repository/list-versions.ts'
import { COMMIT_WINDOW_MS } from '../../../src/bundle/engine/repository/pack-safety.ts'
import { prune } from '../../../src/bundle/engine/maintain/prune.ts'
import { removeWorkspace } from '../../../src/bundle/engine/maintain/remove-versions.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { saveVersion } from '../../../src/bundle/engine/save/save-version.ts'
import { setTag } from '../../../src/bundle/engine/repository/tags.ts'
import { decodeVersionRecord, type VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { fakeTree } from './fake-tree.ts'
import { isRemovedVersion } from '../../../src/bundle/engine/repository/version-number.ts'
import { seededRandom, simulate, type Simulation } from './simulated-store.ts'

const LIST_DELAY_MS = 240_000
const GRACE_MS = 4 * COMMIT_WINDOW_MS + 2 * LIST_DELAY_MS
const WORKSPACES = ['a', 'b', 'c']
const ACTORS = 4
const OPERATIONS = 4

describe('prune beside everything else', () => {
  it('never removes a pack that a version needs, and leaves no garbage after two quiet calls', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        await playSchedule(seededRandom(seed))
      }),
      { numRuns: 4_000 },
    )
  })
})

async function playSchedule(random: () => number): Promise<void> {
  const wasDeleted = new Set<string>()
  const state: { simulation?: Simulation; repository?: Repository } = {}
  const liveRecords = (): readonly VersionRecord[] => {
    const { simulation, repository } = state
    if (simulation === undefined || repository === undefined) return []
    return simulation
      .keys('workspaces/')
      .filter((key) => /^workspaces\/[^/]+\/versions\/[0-9]+\/[0-9]+$/.test(key))
      .flatMap((key) => {
        const bytes = simulation.content(key) ?? new Uint8Array()
        return isRemovedVersion(bytes.length) ? [] : [parseRecord(key, bytes)]
      })
  }
  const simulation = simulate({
    random,
    listDelayMs: LIST_DELAY_MS,
    maxCallMs: COMMIT_WINDOW_MS / 2,
    maxJumpMs: 1.5 * GRACE_MS,
    onChange({ key, body, isCreate }) {
      if (key.startsWith('packs/') && body === null) {
        const users = liveRecords().filter(({ packs }) => packs.some(({ id }) => key === `packs/${id}`))
        expect(users.map(({ workspaceId, version }) => `${workspaceId}@${version} needs ${key}`)).toEqual([])
      }
      if (!key.includes('/versions/') || body === null || isRemovedVersion(body.length)) return
      const record = parseRecord(key, body)
      const missing = record.packs.filter(({ id }) => simulation.content(`packs/${id}`) === null)
      expect(missing, `${key} was committed`).toEqual([])
      if (!isCreate || wasDeleted.has(record.workspaceId)) return
      const newer = liveRecords().filter(
        ({ workspaceId, version }) => workspaceId === record.workspaceId && version >= record.version,
      )
      expect(
        newer.map(({ version }) => version),
        `${key} is the newest`,
      ).toEqual([])
    },
  })
  state.simulation = simulation
  const opening = openRepository(simulation.store, { now: simulation.now })
  await simulation.run()
  const repository = await opening
  state.repository = repository

  const failures: unknown[] = []
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const script = random() < 0.3 ? null : pick(scripts)
  const world: World = { repository, simulation, random, wasDeleted }
  const actors = Array.from({ length: script?.length ?? ACTORS }, async (_, actor) => {
    const operations = script?.[actor] ?? Array.from({ length: OPERATIONS }, () => pick(kinds))
    for (const operation of operations) {
      await simulation.idle()
      await operate(world, operation).catch((error: unknown) => {
        const isExpected =
          WorkspaceError.is(error) &&
          ['CONFLICT', 'NOT_FOUND', 'ALREADY_EXISTS', 'UNAVAILABLE'].includes(error.code)
        if (!isExpected) failures.push(error)
      })
    }
  })
  await simulation.run()
  await Promise.all(actors)
  if (failures.length > 0) throw failures[0]

  for (let call = 0; call < 2; call += 1) {
    simulation.advance(GRACE_MS + LIST_DELAY_MS + 1)
    const pruning = prune(repository, null, { graceMs: GRACE_MS, listDelayMs: LIST_DELAY_MS })
    await simulation.run()
    await pruning
  }
  const needed = new Set(liveRecords().flatMap(({ packs }) => packs.map(({ id }) => `packs/${id}`)))
  expect(simulation.keys('packs/').filter((key) => !needed.has(key))).toEqual([])
  expect(simulation.keys('condemned/')).toEqual([])
}

interface World {
  readonly repository: Repository
  readonly simulation: Simulation
  readonly random: () => number
  readonly wasDeleted: Set<string>
}

type Kind = 'save' | 'slow save' | 'rebase' | 'fork' | 'delete' | 'tag' | 'prune' | 'keep one' | 'load'
/** A kind of operation and, where it matters, the workspaces that it is done on. */
type Operation = readonly [kind: Kind, ...on: string[]]

const kinds: readonly Operation[] = [
  ['save'],
  ['save'],
  ['slow save'],
  ['rebase'],
  ['fork'],
  ['fork'],
  ['delete'],
  ['tag'],
  ['prune'],
  ['keep one'],
  ['load'],
]

/** Meetings that chance would bring about too seldom: each list is one actor's, in this order. */
const scripts: readonly (readonly (readonly Operation[])[])[] = [
  // A mark is put on packs that a fork has just taken over; later the fork is removed while it is forked again.
  [
    [
      ['save', 'a'],
      ['fork', 'a', 'b'],
      ['fork', 'b', 'c'],
      ['load', 'c'],
    ],
    [
      ['delete', 'a'],
      ['delete', 'b'],
    ],
    [['prune'], ['prune'], ['prune']],
  ],
  // The version that a long save builds on is removed and swept meanwhile.
  [
    [
      ['save', 'a'],
      ['rebase', 'a'],
    ],
    [['save', 'a'], ['keep one'], ['prune'], ['prune'], ['prune']],
    [['rebase', 'a'], ['keep one'], ['prune']],
  ],
  [
    [
      ['save', 'a'],
      ['slow save', 'a'],
      ['load', 'a'],
    ],
    [['delete', 'a'], ['prune'], ['prune'], ['prune']],
  ],
  // Newer versions come, and the one in between goes, while a save is under way.
  [
    [
      ['save', 'a'],
      ['slow save', 'a'],
    ],
    [['save', 'a'], ['save', 'a'], ['save', 'a'], ['keep one'], ['keep one']],
  ],
  // Retention removes a version that is being deleted: its number stays taken, above all that is there.
  [
    [['save', 'a'], ['save', 'a'], ['keep one'], ['keep one']],
    [
      ['delete', 'a'],
      ['rebase', 'a'],
      ['save', 'a'],
      ['rebase', 'a'],
    ],
    [['keep one'], ['fork', 'b', 'a']],
  ],
  // The packs of a long save are marked before it commits.
  [
    [['slow save', 'a']],
    [['prune'], ['prune'], ['prune'], ['prune']],
    [
      ['rebase', 'a'],
      ['fork', 'a', 'b'],
    ],
  ],
]

async function operate(world: World, [kind, ...on]: Operation): Promise<void> {
  const { repository, simulation, random, wasDeleted } = world
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const [workspaceId = pick(WORKSPACES), newId = pick(WORKSPACES)] = on
  const details = { message: '', author: null, metadata: {} }
  switch (kind) {
    case 'save':
    case 'slow save':
    case 'rebase':
      await saveVersion(repository, {
        ...details,
        workspaceId,
        tags: [],
        onConflict: kind === 'rebase' ? 'rebase' : 'fail',
        writeTree: (parent, target) => writeRandomTree(world, parent, target, kind === 'save' ? 0.1 : 0.7),
      })
      return
    case 'fork': {
      const version = on.length > 0 || random() < 0.5 ? undefined : 1 + Math.floor(random() * 4)
      await forkVersion(repository, { ...details, workspaceId, version, newId })
      return
    }
    case 'delete':
      wasDeleted.add(workspaceId)
      return removeWorkspace(repository, workspaceId)
    case 'tag':
      return setTag(repository, workspaceId, 1 + Math.floor(random() * 3), 'kept')
    case 'prune':
    case 'keep one': {
      const policy = kind === 'prune' ? null : { keepLast: 1 }
      await prune(repository, policy, { graceMs: GRACE_MS, listDelayMs: LIST_DELAY_MS })
      return
    }
    case 'load': {
      const startedAt = simulation.now()
      const record = await findVersion(repository, workspaceId, undefined)
      for (const { id } of record?.packs ?? []) {
        await simulation.idle()
        const found = await repository.store.head(repository.packKey(id))
        if (simulation.now() - startedAt < GRACE_MS - 2 * COMMIT_WINDOW_MS) expect(found).not.toBeNull()
      }
    }
  }
}

async function writeRandomTree(
  { simulation, random }: World,
  parent: VersionRecord | null,
  repository: Repository,
  pauses: number,
) {
  const newPacks: string[] = []
  const count = Math.floor(random() * 3)
  for (let index = 0; index < count; index += 1) {
    if (random() < pauses) await simulation.idle()
    const id = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
    await repository.store.put(repository.packKey(id), Buffer.from(id))
    newPacks.push(id)
  }
  while (random() < pauses) await simulation.idle()
  const reused = (parent?.packs ?? []).filter(() => random() < 0.8)
  return fakeTree(
    reused.map(({ id }) => id),
    newPacks,
  )
}

function parseRecord(key: string, bytes: Uint8Array): VersionRecord {
  const [, workspaceId = '', , ...inverted] = key.split('/')
  return decodeVersionRecord(bytes, { workspaceId, version: 9_999_999_999 - Number(inverted.join('')) }, null)
}
