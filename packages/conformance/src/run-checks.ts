import { randomUUID } from 'node:crypto'
import {
  assertKnownOptions,
  WorkspaceError,
  isFlag,
  isFunction,
  isObject,
  isObjectList,
  isPositive,
  isSignal,
  isTextList,
  type ObjectStore,
  type OptionNames,
  type StoreCapabilities,
} from '@ws/core'
import { inParallel } from './check-bodies.ts'
import { fixtureChecks, objectStoreChecks } from './object-store-checks.ts'
import { createCheckContext, meetsNeed, type StoreCheck } from './store-check.ts'
import type { StoreFixtures } from './store-fixtures.ts'

export interface RunCheckOptions {
  /** Stores in trouble, for the checks that look at one. @default none */
  readonly fixtures?: StoreFixtures | undefined
  /** Strings that no error may repeat, such as keys and tokens. @default none */
  readonly secrets?: readonly string[] | undefined
  /** After so long a call that should have ended counts as stuck. @default 10_000 */
  readonly stuckAfterMs?: number | undefined
  /** Leaves behind what a check puts, for a bucket that is thrown away as a whole. @default false */
  readonly keepObjects?: boolean | undefined
  /** Told what a check has measured. @default nobody */
  readonly onMeasured?: ((name: string, value: number) => void) | undefined
}

export interface RunChecksOptions extends Omit<RunCheckOptions, 'onMeasured' | 'keepObjects'> {
  /** Which checks to run. @default all of `objectStoreChecks` and `fixtureChecks` */
  readonly checks?: readonly StoreCheck[] | undefined
  /** Told of each result as it comes. @default nobody */
  readonly onResult?: ((result: CheckResult) => void) | undefined
  /** Ends the run between two checks. @default never */
  readonly signal?: AbortSignal | undefined
}

const sharedOptionNames = { fixtures: isObject, secrets: isTextList, stuckAfterMs: isPositive } as const

const runCheckOptionNames: OptionNames<RunCheckOptions> = {
  ...sharedOptionNames,
  keepObjects: isFlag,
  onMeasured: isFunction,
}

export const runChecksOptionNames: OptionNames<RunChecksOptions> = {
  ...sharedOptionNames,
  checks: isObjectList,
  onResult: isFunction,
  signal: isSignal,
}

export interface CheckResult {
  readonly name: string
  /**
   * `skipped`: the store does not claim what the check needs. `not-shown`: the fixture that the check looks at was not
   * given, so nothing is known.
   */
  readonly status: 'passed' | 'failed' | 'skipped' | 'not-shown'
  /** Why a check failed. */
  readonly error?: unknown
  readonly durationMs: number
  /** What the check measured, by name with the unit in it. */
  readonly measured: Readonly<Record<string, number>>
}

export interface CheckReport {
  readonly store: string
  readonly capabilities: StoreCapabilities
  readonly results: readonly CheckResult[]
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly notShown: number
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
  assertKnownOptions('runChecks', options, runChecksOptionNames)
  if (typeof openStore !== 'function')
    throw new WorkspaceError(
      'INVALID_INPUT',
      'runChecks needs a function that opens the store: runChecks(() => store).',
    )
  const { checks = [...objectStoreChecks, ...fixtureChecks], onResult, signal } = options
  const { name: store, capabilities } = await openStore()
  const results: CheckResult[] = []
  for (const check of checks) {
    signal?.throwIfAborted()
    const result = await resultOf(check, openStore, options)
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
    notShown: count('not-shown'),
  }
}

/**
 * Runs one check on a store, below a new throwaway prefix that is emptied afterwards, also when the check fails.
 * Rejects when it fails, and when the fixture that it looks at is not given.
 */
export async function runCheck(
  check: StoreCheck,
  store: ObjectStore,
  options: RunCheckOptions = {},
): Promise<void> {
  assertKnownOptions('runCheck', options, runCheckOptionNames)
  const { fixtures = {}, secrets, stuckAfterMs, keepObjects = false, onMeasured: measured } = options
  const open = check.fixture === undefined ? () => store : fixtures[check.fixture]
  if (open === undefined)
    throw new Error(`The check needs the fixture ${check.fixture}, which was not given.`)
  const troubled = await open()
  const prefix = `ws-conformance-${randomUUID()}/`
  let failure: { readonly error: unknown } | null = null
  try {
    await check.run(
      createCheckContext(store, prefix, {
        troubled,
        ...(secrets === undefined ? {} : { secrets }),
        ...(stuckAfterMs === undefined ? {} : { stuckAfterMs }),
        ...(measured === undefined ? {} : { measured }),
      }),
    )
  } catch (error) {
    failure = { error }
  }
  try {
    if (!keepObjects) await inParallel(store.list(prefix), ({ key }) => store.delete(key))
  } catch (error) {
    failure ??= { error }
  }
  if (failure !== null) throw failure.error
}

async function resultOf(
  check: StoreCheck,
  openStore: () => ObjectStore | Promise<ObjectStore>,
  { fixtures = {}, secrets, stuckAfterMs }: RunChecksOptions,
): Promise<CheckResult> {
  const { name, needs, fixture } = check
  const measured: Record<string, number> = {}
  const startedAt = performance.now()
  const durationMs = (): number => performance.now() - startedAt
  try {
    const store = await openStore()
    if (!meetsNeed(store.capabilities, needs)) return { name, status: 'skipped', durationMs: 0, measured }
    if (fixture !== undefined && fixtures[fixture] === undefined)
      return { name, status: 'not-shown', durationMs: 0, measured }
    const onMeasured = (fact: string, value: number): void => void (measured[fact] = value)
    await runCheck(check, store, { fixtures, secrets, stuckAfterMs, onMeasured })
    return { name, status: 'passed', durationMs: durationMs(), measured }
  } catch (error) {
    return { name, status: 'failed', error, durationMs: durationMs(), measured }
  }
}
