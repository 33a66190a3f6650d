import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { WorkspaceError } from '@ws/core'
import fc from 'fast-check'
import { forkVersion } from '../../../src/bundle/engine/fork-version.ts'
import { findVersion } from '../../../src/bundle/engine/list-versions.ts'
import { COMMIT_WINDOW_MS } from '../../../src/bundle/engine/pack-safety.ts'
import { prune } from '../../../src/bundle/engine/prune.ts'
import { removeWorkspace } from '../../../src/bundle/engine/remove-versions.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository.ts'
import { saveVersion } from '../../../src/bundle/engine/save-version.ts'
import { setTag } from '../../../src/bundle/engine/tags.ts'
import { decodeVersionRecord, type VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { fakeTree } from './fake-tree.ts'
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
      { numRuns: 2_500 },
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
      .filter((key) => /^workspaces\/[^/]+\/versions\/[0-9]+$/.test(key))
      .flatMap((key) => {
        const bytes = simulation.content(key) ?? new Uint8Array()
        return bytes.length === 0 ? [] : [parseRecord(key, bytes)]
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
      if (!key.includes('/versions/') || body === null || body.length === 0) return
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
  const actors = Array.from({ length: ACTORS }, async () => {
    for (let count = 0; count < OPERATIONS; count += 1) {
      await simulation.idle()
      await operate(repository, simulation, random, wasDeleted).catch((error: unknown) => {
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

async function operate(
  repository: Repository,
  simulation: Simulation,
  random: () => number,
  wasDeleted: Set<string>,
): Promise<void> {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const workspaceId = pick(WORKSPACES)
  const kind = pick(['save', 'save', 'save', 'fork', 'fork', 'delete', 'tag', 'prune', 'prune', 'load'])
  const details = { message: '', author: null, metadata: {} }
  if (kind === 'save') {
    await saveVersion(repository, {
      ...details,
      workspaceId,
      tags: [],
      onConflict: pick(['fail', 'rebase'] as const),
      writeTree: (parent, target) => writeRandomTree(parent, target, simulation, random),
    })
  } else if (kind === 'fork') {
    const version = random() < 0.5 ? undefined : 1 + Math.floor(random() * 4)
    await forkVersion(repository, { ...details, workspaceId, version, newId: pick(WORKSPACES) })
  } else if (kind === 'delete') {
    wasDeleted.add(workspaceId)
    await removeWorkspace(repository, workspaceId)
  } else if (kind === 'tag') {
    await setTag(repository, workspaceId, 1 + Math.floor(random() * 3), 'kept')
  } else if (kind === 'prune') {
    const policy = pick([null, { keepLast: 1 }, { keepLast: 2 }])
    await prune(repository, policy, { graceMs: GRACE_MS, listDelayMs: LIST_DELAY_MS })
  } else {
    const startedAt = simulation.now()
    const record = await findVersion(repository, workspaceId, undefined)
    for (const { id } of record?.packs ?? []) {
      await simulation.idle()
      const found = await repository.store.head(repository.packKey(id))
      if (simulation.now() - startedAt < GRACE_MS - LIST_DELAY_MS) expect(found).not.toBeNull()
    }
  }
}

async function writeRandomTree(
  parent: VersionRecord | null,
  repository: Repository,
  simulation: Simulation,
  random: () => number,
) {
  const newPacks: string[] = []
  const count = Math.floor(random() * 3)
  for (let index = 0; index < count; index += 1) {
    if (random() < 0.3) await simulation.idle()
    const id = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('')
    await repository.store.put(repository.packKey(id), Buffer.from(id))
    newPacks.push(id)
  }
  if (random() < 0.3) await simulation.idle()
  const reused = (parent?.packs ?? []).filter(() => random() < 0.7)
  return fakeTree(
    reused.map(({ id }) => id),
    newPacks,
  )
}

function parseRecord(key: string, bytes: Uint8Array): VersionRecord {
  const [, workspaceId = '', , inverted = ''] = key.split('/')
  return decodeVersionRecord(bytes, { workspaceId, version: 9_999_999_999 - Number(inverted) }, null)
}
