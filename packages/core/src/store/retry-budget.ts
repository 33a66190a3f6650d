import type { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from './object-store.ts'

const RETRY_COST = 5
const TIMEOUT_COST = 10
const SUCCESS_GAIN = 1

/**
 * A bucket of tokens that all callers of one store share: a repetition costs, a success gives back. While a service is
 * well nobody notices; in an outage the bucket runs dry, and from then on each call is made about once, so that waiting
 * callers do not multiply the load that the service comes back to. (The retry quota of the AWS SDKs' standard mode,
 * with their numbers.)
 */
export interface RetryBudget {
  /** Pays for one repetition; `false` when there is too little left. */
  take(error: WorkspaceError): boolean
  /** A call has succeeded; `afterPaying` when it was repeated. */
  give(afterPaying: WorkspaceError | null): void
}

const budgets = new WeakMap<ObjectStore, RetryBudget>()

/** The budget of a store: one for all wrappers around it. The first one says how large it is. */
export function retryBudgetOf(store: ObjectStore, tokens: number): RetryBudget {
  const existing = budgets.get(store)
  if (existing !== undefined) return existing
  const budget = createBudget(tokens)
  budgets.set(store, budget)
  return budget
}

function createBudget(tokens: number): RetryBudget {
  let left = tokens
  return {
    take(error) {
      const cost = costOf(error)
      if (left < cost) return false
      left -= cost
      return true
    },
    give(afterPaying) {
      left = Math.min(tokens, left + (afterPaying === null ? SUCCESS_GAIN : costOf(afterPaying)))
    },
  }
}

function costOf(error: WorkspaceError): number {
  return error.code === 'TIMEOUT' ? TIMEOUT_COST : RETRY_COST
}
