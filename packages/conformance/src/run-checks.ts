import { randomUUID } from 'node:crypto'
import type { ObjectStore, StoreCapabilities } from '@ws/core'
import { objectStoreChecks } from './object-store-checks.ts'
import { createCheckContext, meetsNeed, type StoreCheck } from './store-check.ts'

export interface RunChecksOptions {
  /** Which checks to run. @default all of `objectStoreChecks` */
  readonly checks?: readonly StoreCheck[] | undefined
  /** Told of each result as it comes. @default nobody */
  readonly onResult?: ((result: CheckResult) => void) | undefined
  /** Ends the run between two checks. @default never */
  readonly signal?: AbortSignal | undefined
}

export interface CheckResult {
  readonly name: string
  /** `skipped`: the store does not claim what the check needs. */
  readonly status: 'passed' | 'failed' | 'skipped'
  /** Why a check failed. */
  readonly error?: unknown
  readonly durationMs: number
}

export interface CheckReport {
  readonly store: string
  readonly capabilities: StoreCapabilities
  readonly results: readonly CheckResult[]
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/**
 * Runs the contract against a store, also a live bucket: every check works below a throwaway prefix of its own, which
 * is emptied afterwards, and looks at nothing else. A check that fails is a result; it does not reject.
 * @param openStore called once for each check; may give the same store every time
 */
export async function runChecks(
  openStore: () => ObjectStore | Promise<ObjectStore>,
  options: RunChecksOptions = {},
): Promise<CheckReport> {
  const { checks = objectStoreChecks, onResult, signal } = options
  const { name: store, capabilities } = await openStore()
  const results: CheckResult[] = []
  for (const check of checks) {
    signal?.throwIfAborted()
    const result = await resultOf(check, openStore)
    results.push(result)
    onResult?.(result)
  }
  const count = (status: CheckResult['status']): number =>
    results.filter((result) => result.status === status).length
  return {
    store,
    capabilities,
    results,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
  }
}

/** Runs one check on a store, below a new throwaway prefix that is emptied afterwards. Rejects when the check fails. */
export async function runCheck(check: StoreCheck, store: ObjectStore): Promise<void> {
  const prefix = `ws-conformance-${randomUUID()}/`
  let failure: { readonly error: unknown } | null = null
  try {
    await check.run(createCheckContext(store, prefix))
  } catch (error) {
    failure = { error }
  }
  try {
    for await (const { key } of store.list(prefix)) await store.delete(key)
  } catch (error) {
    failure ??= { error }
  }
  if (failure !== null) throw failure.error
}

async function resultOf(
  check: StoreCheck,
  openStore: () => ObjectStore | Promise<ObjectStore>,
): Promise<CheckResult> {
  const { name } = check
  const startedAt = performance.now()
  const durationMs = (): number => performance.now() - startedAt
  try {
    const store = await openStore()
    if (!meetsNeed(store.capabilities, check.needs)) return { name, status: 'skipped', durationMs: 0 }
    await runCheck(check, store)
    return { name, status: 'passed', durationMs: durationMs() }
  } catch (error) {
    return { name, status: 'failed', error, durationMs: durationMs() }
  }
}
