import { describeValue } from '../../../describe-value.ts'
import { WorkspaceError } from '../../../errors.ts'
import { assertKnownOptions, type OptionNames } from '../../../known-options.ts'
import { isFlag, isTextList } from '../../../option-checks.ts'

/**
 * Which versions of a workspace stay.
 *
 * The `keep…` numbers select: a version stays when any of them selects it, and without any of them all are selected.
 * `maxAgeMs` and `maxBytes` then take away from what was selected, oldest first. Three things outrank everything and are
 * never taken away: the newest version, the `keepLast` newest ones, and tagged ones. Periods are in UTC.
 */
export interface RetentionPolicy {
  /** The newest so many versions. @default 0 */
  readonly keepLast?: number | undefined
  /** The last version of each of the newest so many hours that have any. @default 0 */
  readonly keepHourly?: number | undefined
  /** The same for days. @default 0 */
  readonly keepDaily?: number | undefined
  /** The same for weeks, from Monday. @default 0 */
  readonly keepWeekly?: number | undefined
  /** The same for months. @default 0 */
  readonly keepMonthly?: number | undefined
  /** The same for years. @default 0 */
  readonly keepYearly?: number | undefined
  /** Whether tags protect: all of them, none, or these. @default true */
  readonly keepTagged?: boolean | readonly string[] | undefined
  /** Older versions go, in milliseconds. @default no limit */
  readonly maxAgeMs?: number | undefined
  /** Bytes of all packs that the kept versions need, each counted once. @default no limit */
  readonly maxBytes?: number | undefined
}

const policyNames: OptionNames<RetentionPolicy> = {
  keepLast: true,
  keepHourly: true,
  keepDaily: true,
  keepWeekly: true,
  keepMonthly: true,
  keepYearly: true,
  keepTagged: (value) =>
    isFlag(value) === null || isTextList(value) === null ? null : 'true, false or a list of tags',
  maxAgeMs: true,
  maxBytes: true,
}

/** What a policy looks at. */
export interface RetainedVersion {
  readonly version: number
  /** ISO 8601. */
  readonly createdAt: string
  readonly tags: readonly string[]
  readonly packs: readonly { readonly id: string; readonly bytes: number }[]
}

/** JSON-safe. Version numbers, newest first. */
export interface RetentionPlan {
  readonly keep: readonly { readonly version: number; readonly reasons: readonly KeepReason[] }[]
  readonly remove: readonly number[]
}

export type KeepReason = 'newest' | 'last' | 'tagged' | Period | 'unlimited'
type Period = 'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** A number for the period that a time falls into; equal for equal periods. */
const periods: Readonly<Record<Period, (time: Date) => number>> = {
  hourly: (time) => Math.floor(time.getTime() / HOUR_MS),
  daily: (time) => Math.floor(time.getTime() / DAY_MS),
  // The first day of 1970 was a Thursday.
  weekly: (time) => Math.floor((time.getTime() / DAY_MS + 3) / 7),
  monthly: (time) => time.getUTCFullYear() * 12 + time.getUTCMonth(),
  yearly: (time) => time.getUTCFullYear(),
}

/**
 * What a policy keeps and removes. Pure: planning again for what was kept removes nothing more at the same `now`, a
 * larger number never keeps less (`maxBytes` aside, under which older versions make room for more selected ones), and
 * the newest version always stays.
 * @throws `INVALID_INPUT` for a number that is not acceptable
 */
export function planRetention(
  versions: readonly RetainedVersion[],
  policy: RetentionPolicy,
  now: Date,
): RetentionPlan {
  assertPolicy(policy)
  const newestFirst = [...versions].sort((left, right) => right.version - left.version)
  const reasons = new Map<number, Set<KeepReason>>()
  const keepFor = (version: number, reason: KeepReason): void => {
    const known = reasons.get(version)
    if (known === undefined) reasons.set(version, new Set([reason]))
    else known.add(reason)
  }

  selectByPeriods(newestFirst, policy, keepFor)
  if (!hasSelection(policy)) for (const { version } of newestFirst) keepFor(version, 'unlimited')
  if (policy.maxAgeMs !== undefined) {
    const oldest = now.getTime() - policy.maxAgeMs
    for (const { version, createdAt } of newestFirst) {
      if (Date.parse(createdAt) < oldest) reasons.delete(version)
    }
  }
  const isProtected = protectAlways(newestFirst, policy, keepFor)
  if (policy.maxBytes !== undefined) {
    for (const version of overBudget(newestFirst, reasons, isProtected, policy.maxBytes))
      reasons.delete(version)
  }

  const keep: RetentionPlan['keep'][number][] = []
  const remove: number[] = []
  for (const { version } of newestFirst) {
    const why = reasons.get(version)
    if (why === undefined) remove.push(version)
    else keep.push({ version, reasons: [...why] })
  }
  return { keep, remove }
}

/** @throws `INVALID_INPUT` */
export function assertPolicy(policy: RetentionPolicy): void {
  assertKnownOptions('The retention policy of prune', policy, policyNames)
  for (const [name, value] of Object.entries(policy)) {
    if (value === undefined || name === 'keepTagged') continue
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) continue
    throw new WorkspaceError(
      'INVALID_INPUT',
      `The retention policy's ${name} must be a whole number of 0 or more, not ${describeValue(value)}.`,
      { details: { option: name } },
    )
  }
}

function counts(policy: RetentionPolicy): readonly (readonly [Period, number])[] {
  return [
    ['hourly', policy.keepHourly ?? 0],
    ['daily', policy.keepDaily ?? 0],
    ['weekly', policy.keepWeekly ?? 0],
    ['monthly', policy.keepMonthly ?? 0],
    ['yearly', policy.keepYearly ?? 0],
  ]
}

function hasSelection(policy: RetentionPolicy): boolean {
  return (policy.keepLast ?? 0) > 0 || counts(policy).some(([, count]) => count > 0)
}

function selectByPeriods(
  newestFirst: readonly RetainedVersion[],
  policy: RetentionPolicy,
  keepFor: (version: number, reason: KeepReason) => void,
): void {
  for (const [period, count] of counts(policy)) {
    const seen = new Set<number>()
    for (const { version, createdAt } of newestFirst) {
      if (seen.size >= count) break
      const number = periods[period](new Date(createdAt))
      if (seen.has(number)) continue
      seen.add(number)
      keepFor(version, period)
    }
  }
}

function protectAlways(
  newestFirst: readonly RetainedVersion[],
  policy: RetentionPolicy,
  keepFor: (version: number, reason: KeepReason) => void,
): (version: number) => boolean {
  const { keepLast = 0, keepTagged = true } = policy
  const isProtectingTag = (tag: string): boolean =>
    typeof keepTagged === 'boolean' ? keepTagged : keepTagged.includes(tag)
  const always = new Set<number>()
  for (const [index, { version, tags }] of newestFirst.entries()) {
    const why: KeepReason[] = []
    if (index === 0) why.push('newest')
    if (index < keepLast) why.push('last')
    if (tags.some(isProtectingTag)) why.push('tagged')
    for (const reason of why) keepFor(version, reason)
    if (why.length > 0) always.add(version)
  }
  return (version) => always.has(version)
}

function overBudget(
  newestFirst: readonly RetainedVersion[],
  kept: ReadonlyMap<number, unknown>,
  isProtected: (version: number) => boolean,
  maxBytes: number,
): readonly number[] {
  const uses = new Map<string, number>()
  let total = 0
  const keptVersions = newestFirst.filter(({ version }) => kept.has(version))
  for (const { packs } of keptVersions) {
    for (const { id, bytes } of packs) {
      const count = uses.get(id) ?? 0
      if (count === 0) total += bytes
      uses.set(id, count + 1)
    }
  }
  const over: number[] = []
  for (const { version, packs } of keptVersions.toReversed()) {
    if (total <= maxBytes) break
    if (isProtected(version)) continue
    over.push(version)
    for (const { id, bytes } of packs) {
      const count = (uses.get(id) ?? 0) - 1
      uses.set(id, count)
      if (count === 0) total -= bytes
    }
  }
  return over
}
