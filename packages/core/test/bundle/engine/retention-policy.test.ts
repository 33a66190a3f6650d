import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import {
  planRetention,
  type RetainedVersion,
  type RetentionPolicy,
} from '../../../src/bundle/engine/maintain/retention-policy.ts'

const HOUR_MS = 3_600_000
const now = new Date('2030-03-15T12:30:00Z')

const numbers = {
  keepLast: fc.option(fc.nat(6), { nil: undefined }),
  keepHourly: fc.option(fc.nat(6), { nil: undefined }),
  keepDaily: fc.option(fc.nat(6), { nil: undefined }),
  keepWeekly: fc.option(fc.nat(4), { nil: undefined }),
  keepMonthly: fc.option(fc.nat(4), { nil: undefined }),
  keepYearly: fc.option(fc.nat(3), { nil: undefined }),
}
const policies: fc.Arbitrary<RetentionPolicy> = fc.record({
  ...numbers,
  keepTagged: fc.oneof(fc.boolean(), fc.constant(['kept']), fc.constant(undefined)),
  maxAgeMs: fc.option(fc.nat(3000 * HOUR_MS), { nil: undefined }),
  maxBytes: fc.option(fc.nat(500), { nil: undefined }),
})
const histories = fc
  .array(
    fc.record({
      hoursAgo: fc.nat(10_000),
      tags: fc.subarray(['kept', 'other']),
      packs: fc.subarray(['a', 'b', 'c', 'd', 'e', 'f']),
    }),
    { maxLength: 30 },
  )
  .map((versions): RetainedVersion[] =>
    versions.map(({ hoursAgo, tags, packs }, index) => ({
      version: index + 1,
      createdAt: new Date(now.getTime() - hoursAgo * HOUR_MS).toISOString(),
      tags,
      packs: packs.map((id) => ({ id, bytes: 50 + id.charCodeAt(0) })),
    })),
  )
const kept = (versions: readonly RetainedVersion[], policy: RetentionPolicy): number[] =>
  planRetention(versions, policy, now).keep.map(({ version }) => version)

describe('a retention policy', () => {
  it('keeps the newest, the last ones and tagged ones, and puts every version on one side', () => {
    fc.assert(
      fc.property(histories, policies, (versions, policy) => {
        const { keep, remove } = planRetention(versions, policy, now)
        expect([...keep.map(({ version }) => version), ...remove].sort((a, b) => a - b)).toEqual(
          versions.map(({ version }) => version),
        )
        const stays = new Set(keep.map(({ version }) => version))
        const least = Math.max(1, policy.keepLast ?? 0)
        for (const { version } of versions.slice(-least)) expect(stays).toContain(version)
        const { keepTagged = true } = policy
        for (const { version, tags } of versions) {
          const isTagged = tags.some((tag) =>
            typeof keepTagged === 'boolean' ? keepTagged : keepTagged.includes(tag),
          )
          if (isTagged) expect(stays).toContain(version)
        }
      }),
    )
  })

  it('removes nothing more when it is applied again', () => {
    fc.assert(
      fc.property(histories, policies, (versions, policy) => {
        const stays = new Set(kept(versions, policy))
        const left = versions.filter(({ version }) => stays.has(version))
        expect(planRetention(left, policy, now).remove).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  it('with a larger number never keeps less', () => {
    const names = Object.keys(numbers) as (keyof typeof numbers)[]
    fc.assert(
      fc.property(
        histories,
        policies,
        fc.constantFrom(...names),
        fc.nat(5),
        (versions, policy, name, more) => {
          // A policy that selects nothing keeps everything, so the smaller one selects something.
          const smaller = Math.max(1, policy[name] ?? 1)
          const limited = { ...policy, maxBytes: undefined, [name]: smaller }
          const after = kept(versions, { ...limited, [name]: smaller + more })
          for (const version of kept(versions, limited)) expect(after).toContain(version)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('stays within maxBytes unless what is protected alone is larger', () => {
    fc.assert(
      fc.property(histories, fc.nat(900), (versions, maxBytes) => {
        const stays = new Set(kept(versions, { maxBytes, keepTagged: false }))
        const packs = new Map(
          versions
            .filter(({ version }) => stays.has(version))
            .flatMap((each) => each.packs.map(({ id, bytes }) => [id, bytes])),
        )
        const total = [...packs.values()].reduce((sum, bytes) => sum + bytes, 0)
        if (stays.size > 1) expect(total).toBeLessThanOrEqual(maxBytes)
      }),
    )
  })

  const at = (version: number, createdAt: string, tags: string[] = []): RetainedVersion => ({
    version,
    createdAt,
    tags,
    packs: [],
  })

  it.each<[string, RetentionPolicy, number[]]>([
    ['nothing: all stay', {}, [6, 5, 4, 3, 2, 1]],
    ['keepLast', { keepLast: 2, keepTagged: false }, [6, 5]],
    ['keepHourly: the last of each hour', { keepHourly: 2, keepTagged: false }, [6, 5]],
    ['keepDaily: the last of each day', { keepDaily: 3, keepTagged: false }, [6, 4, 3]],
    ['keepWeekly: from Monday', { keepWeekly: 2, keepTagged: false }, [6, 3]],
    ['keepMonthly', { keepMonthly: 2, keepTagged: false }, [6, 2]],
    ['keepYearly', { keepYearly: 5, keepTagged: false }, [6, 1]],
    ['tagged ones besides', { keepLast: 1 }, [6, 2]],
    ['maxAgeMs', { maxAgeMs: 24 * HOUR_MS, keepTagged: false }, [6, 5, 4]],
  ])('%s', (_, policy, expected) => {
    const versions = [
      at(1, '2029-12-31T23:59:00Z'),
      at(2, '2030-02-28T10:00:00Z', ['release']),
      at(3, '2030-03-10T10:00:00Z'),
      at(4, '2030-03-14T23:30:00Z'),
      at(5, '2030-03-15T10:10:00Z'),
      at(6, '2030-03-15T12:00:00Z'),
    ]
    expect(kept(versions, policy)).toEqual(expected)
  })

  it.each([{ keepLast: -1 }, { maxBytes: 1.5 }, { maxAgeMs: Number.NaN }])('refuses %j', (policy) => {
    expect(() => planRetention([], policy, now)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })
})
