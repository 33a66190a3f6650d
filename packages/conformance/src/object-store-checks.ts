import type { ObjectStore } from '@ws/core'
import { conditionChecks } from './checks/condition-checks.ts'
import { failureChecks } from './checks/failure-checks.ts'
import { keyChecks } from './checks/key-checks.ts'
import { largeChecks } from './checks/large-checks.ts'
import { listChecks } from './checks/list-checks.ts'
import { rangeChecks } from './checks/range-checks.ts'
import { roundTripChecks } from './checks/round-trip-checks.ts'
import { streamChecks } from './checks/stream-checks.ts'
import { transferChecks } from './checks/transfer-checks.ts'
import { troubleChecks } from './checks/trouble-checks.ts'
import { meetsNeed, type StoreCheck } from './store-check.ts'
import type { StoreFixtures } from './store-fixtures.ts'

/** The contract of `ObjectStore`, clause by clause, as far as a sound service shows it. */
export const objectStoreChecks: readonly StoreCheck[] = [
  ...roundTripChecks,
  ...keyChecks,
  ...listChecks,
  ...rangeChecks,
  ...conditionChecks,
  ...failureChecks,
  ...streamChecks,
  ...largeChecks,
]

/** The contract where things go wrong: each check looks at one of the `StoreFixtures`. */
export const fixtureChecks: readonly StoreCheck[] = [...troubleChecks, ...transferChecks]

/** The checks that apply to a store by its own published claims, and by the fixtures that are given. */
export function checksFor(
  store: Pick<ObjectStore, 'capabilities'>,
  fixtures: StoreFixtures = {},
): readonly StoreCheck[] {
  return [...objectStoreChecks, ...fixtureChecks].filter(
    ({ needs, fixture }) =>
      meetsNeed(store.capabilities, needs) && (fixture === undefined || fixtures[fixture] !== undefined),
  )
}
