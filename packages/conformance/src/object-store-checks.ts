import type { ObjectStore } from '@ws/core'
import { conditionChecks } from './checks/condition-checks.ts'
import { failureChecks } from './checks/failure-checks.ts'
import { keyChecks } from './checks/key-checks.ts'
import { listChecks } from './checks/list-checks.ts'
import { rangeChecks } from './checks/range-checks.ts'
import { roundTripChecks } from './checks/round-trip-checks.ts'
import { streamChecks } from './checks/stream-checks.ts'
import { meetsNeed, type StoreCheck } from './store-check.ts'

/** The whole contract of `ObjectStore`, clause by clause. */
export const objectStoreChecks: readonly StoreCheck[] = [
  ...roundTripChecks,
  ...keyChecks,
  ...listChecks,
  ...rangeChecks,
  ...conditionChecks,
  ...failureChecks,
  ...streamChecks,
]

/** The checks that apply to a store by its own published claims. */
export function checksFor(store: Pick<ObjectStore, 'capabilities'>): readonly StoreCheck[] {
  return objectStoreChecks.filter((check) => meetsNeed(store.capabilities, check.needs))
}
