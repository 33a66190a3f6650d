import type { RetentionMoment } from '../../retained-snapshots.ts'
import { recentSince } from '../../retained-snapshots.ts'
import type { KeptObjects } from './measure-store.ts'

const WEEK_MS = 7 * 24 * 60 * 60_000

export interface ExpiryOptions extends RetentionMoment {
  readonly maxBytes: number
  /** What the store takes when all else has gone that goes. */
  readonly bytesLeft: number
  /** What removing some would free then. */
  readonly gainOf: (name: string, kept: KeptObjects) => number
}

/**
 * Which of the user's objects that are kept for `restoreGit` are to go: those that the user's repository has not had for
 * a week, and as long as the budget has no room, those that it has not had the longest. What it has lost within the last
 * hour, or since the run that is going on began, stays for now.
 * @returns their names
 */
export function chooseExpired(
  objects: ReadonlyMap<string, KeptObjects>,
  options: ExpiryOptions,
): Set<string> {
  const { now, maxBytes, gainOf } = options
  let { bytesLeft } = options
  const expired = new Set<string>()
  const gone = [...objects].filter(([, { isShared }]) => !isShared)
  for (const [name, kept] of gone.toSorted(([, left], [, right]) => left.goneSince - right.goneSince)) {
    const gain = gainOf(name, kept)
    const isInTheWay = gain > 0 && bytesLeft > maxBytes && kept.goneSince < recentSince(options)
    if (kept.goneSince >= now - WEEK_MS && !isInTheWay) continue
    expired.add(name)
    bytesLeft -= gain
  }
  return expired
}
