import { expect, it } from 'vitest'
import { rankSnapshots } from '../../src/snapshot/retained-snapshots.ts'

const NOW = Date.parse('2026-01-10T12:00:00Z')
const MINUTE = 60_000

/** Newest first: one every ten minutes, the first of them `ageMinutes` old. */
function snapshots(labels: readonly string[], ageMinutes = 0) {
  return labels.map((label, index) => ({
    name: `${label} ${index}`,
    ref: `${index}`,
    label,
    capturedAt: new Date(NOW - (ageMinutes + index * 10) * MINUTE).toISOString(),
  }))
}

function rank(all: ReturnType<typeof snapshots>, runningSince: number | null = null) {
  const { ranked, protectedCount } = rankSnapshots(all, { now: NOW, runningSince })
  const names = ranked.map(({ name }) => name)
  return { always: names.slice(0, protectedCount), ifThereIsRoom: names.slice(protectedCount) }
}

it('always keeps the newest twenty, however old they are', () => {
  const all = snapshots(Array<string>(25).fill('snapshot'), 100_000)
  const { always, ifThereIsRoom } = rank(all)
  expect(always).toEqual(all.slice(0, 20).map(({ name }) => name))
  expect(ifThereIsRoom).toEqual(all.slice(20).map(({ name }) => name))
})

it('counts equal states once, so that looking often at an idle workspace pushes nothing out', () => {
  const idle = snapshots(Array<string>(50).fill('now'), 100).map((each) => ({ ...each, ref: 'idle' }))
  const others = snapshots(Array<string>(25).fill('snapshot'), 1000)
  expect(rank([...idle, ...others]).always).toHaveLength(50 + 19)
})

it('always keeps those of the last hour, and those taken since the running run began', () => {
  const often = Array.from({ length: 100 }, (_, index) => ({
    name: `${index}`,
    ref: `${index}`,
    label: 'snapshot',
    capturedAt: new Date(NOW - index * MINUTE).toISOString(),
  }))
  expect(rank(often).always).toHaveLength(61)
  expect(rank(often, NOW - 90 * MINUTE).always).toHaveLength(91)
})

it('always keeps the newest five guards, so that rollbacks can be undone', () => {
  const all = snapshots(
    [...Array<string>(30).fill('snapshot'), ...Array<string>(8).fill('rollback_guard')],
    100,
  )
  expect(rank(all).always.filter((name) => name.startsWith('rollback_guard'))).toHaveLength(5)
})

it('gives the labels of the caller the next claim, then the newest', () => {
  const all = snapshots([...Array<string>(20).fill('before'), 'after', 'release 1', 'before', 'mine'], 100)
  expect(rank(all).ifThereIsRoom).toEqual(['release 1 21', 'mine 23', 'after 20', 'before 22'])
})

it('keeps no captures that only a rollback has seen, but for the one that the next capture builds on', () => {
  expect(rank(snapshots(['rollback_check', 'rollback_preview', 'snapshot'])).always).toEqual([
    'rollback_check 0',
    'snapshot 2',
  ])
})

it('keeps no more than ten thousand', () => {
  const all = snapshots(Array<string>(10_050).fill('snapshot'), 100)
  const { always, ifThereIsRoom } = rank(all)
  expect(always.length + ifThereIsRoom.length).toBe(10_000)
})
