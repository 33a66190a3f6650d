/** What the choice goes by, whatever the backend. */
export interface RetainableSnapshot {
  /** Equal for equal states, which are kept once. */
  readonly ref: string
  readonly label: string
  /** ISO 8601. */
  readonly capturedAt: string
}

export interface RetentionMoment {
  /** Milliseconds since 1970. */
  readonly now: number
  /** When the run that is going on began, by the same clock; `null` when none is. */
  readonly runningSince: number | null
}

export interface RankedSnapshots<T> {
  /** The order in which snapshots have a claim to the budget. */
  readonly ranked: readonly T[]
  /** How many of the first ones stay even if they alone are over the budget. */
  readonly protectedCount: number
}

const NEWEST = 20
const NEWEST_GUARDS = 5
const RECENT_MS = 60 * 60_000
const MAX_SNAPSHOTS = 10_000

const GUARD_LABEL = 'rollback_guard'
/** The state in which a killed rollback was found. */
const RECOVERY_LABEL = 'rollback_recovery'
/** Captures that a rollback takes for itself; nobody else has seen them. */
const internalLabels: readonly string[] = ['rollback_preview', 'rollback_check']
const automaticLabels: readonly string[] = [
  'snapshot',
  'now',
  'before',
  'after',
  'after_failure',
  GUARD_LABEL,
  RECOVERY_LABEL,
  ...internalLabels,
]

/** Whether anybody but the rollback that took it can know the snapshot. */
export function isForCallers({ label }: Pick<RetainableSnapshot, 'label'>): boolean {
  return !internalLabels.includes(label)
}

/** Whether a label says no more than which step of a run or a rollback took the snapshot. */
export function isAutomaticLabel(label: string): boolean {
  return automaticLabels.includes(label)
}

/** What has come about since then stays, whatever the budget: of the last hour, and since the run that is going on began. */
export function recentSince({ now, runningSince }: RetentionMoment): number {
  return Math.min(now - RECENT_MS, runningSince ?? Number.POSITIVE_INFINITY)
}

/**
 * Which snapshots to keep when not all of them fit.
 *
 * Always kept: the newest 20 states, all of the last hour, all taken since the run that is going on began, and the newest 5
 * guards, so that a rollback can be undone. Then, as far as the budget goes: those with a label of the caller's own,
 * newest first; then the others, newest first. No more than 10,000 in all. The newest capture of any kind comes first,
 * because the next one builds on it.
 *
 * @param newestFirst every snapshot that is there
 */
export function rankSnapshots<T extends RetainableSnapshot>(
  newestFirst: readonly T[],
  moment: RetentionMoment,
): RankedSnapshots<T> {
  const since = recentSince(moment)
  const always: T[] = []
  const labelled: T[] = []
  const others: T[] = []
  const newest = new Set<string>()
  let guards = 0
  for (const [index, snapshot] of newestFirst.entries()) {
    const { ref, label, capturedAt } = snapshot
    if (!isForCallers(snapshot)) {
      if (index === 0) always.push(snapshot)
      continue
    }
    const isGuard = label === GUARD_LABEL || label === RECOVERY_LABEL
    if (newest.size < NEWEST) newest.add(ref)
    const isNew = newest.has(ref) || Date.parse(capturedAt) >= since || (isGuard && guards < NEWEST_GUARDS)
    if (isGuard) guards += 1
    if (isNew) always.push(snapshot)
    else if (isAutomaticLabel(label)) others.push(snapshot)
    else labelled.push(snapshot)
  }
  const ranked = [...always, ...labelled, ...others].slice(0, Math.max(MAX_SNAPSHOTS, always.length))
  return { ranked, protectedCount: always.length }
}
