import type { ObjectStore } from '@ws/core'
import { crashChecks } from './checks/crash-checks.ts'
import { engineChecks as versionChecks } from './checks/engine-checks.ts'
import { runChecks, type CheckReport, type RunChecksOptions } from './run-checks.ts'
import type { StoreCheck } from './store-check.ts'

/** The bundle engine over a store: versions, races, prune, encryption, crashes at every call. */
export const engineChecks: readonly StoreCheck[] = [...versionChecks, ...crashChecks]

/**
 * Runs the whole bundle engine over a store, below throwaway prefixes that are emptied afterwards: what an adapter is
 * for, on top of what `runChecks` shows of its contract. About 1,500 small objects and some MiB; files go into the
 * system's temporary directory.
 */
export function runEngineChecks(
  openStore: () => ObjectStore | Promise<ObjectStore>,
  options: Omit<RunChecksOptions, 'checks' | 'fixtures'> = {},
): Promise<CheckReport> {
  return runChecks(openStore, { ...options, checks: engineChecks })
}
