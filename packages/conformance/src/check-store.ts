import { randomUUID } from 'node:crypto'
import { assertKnownOptions, probeStore, withPrefix, type ObjectStore, type ProbeFinding } from '@ws/core'
import { inParallel } from './check-bodies.ts'
import { runChecks, runChecksOptionNames, type CheckReport, type RunChecksOptions } from './run-checks.ts'

export interface StoreCheckReport extends CheckReport {
  /** What the store claims of its conditions, and what it did when it was asked. */
  readonly findings: readonly ProbeFinding[]
  /** Whether no check failed and no claim is stronger than what was found. Says nothing of what was not shown. */
  readonly isSound: boolean
  /** Objects that the run put and could not remove. */
  readonly leftBehind: readonly string[]
}

/**
 * Runs the whole contract against a live bucket: every check, and a probe of its conditions, below one throwaway prefix,
 * `ws-check-<uuid>/`, which is emptied afterwards whatever happens. Nothing else in the bucket is touched. A run
 * writes about 700 MiB and 3,000 objects.
 *
 * A claim that is stronger than what the service does is a failure: racing writers would lose data by it.
 * @throws the signal's reason, and what the store throws when it cannot be used at all
 */
export async function checkStore(
  store: ObjectStore,
  options: RunChecksOptions = {},
): Promise<StoreCheckReport> {
  assertKnownOptions('checkStore', options, runChecksOptionNames)
  const prefix = `ws-check-${randomUUID()}`
  const scratch = withPrefix(store, prefix)
  const { fixtures = {}, ...given } = options
  const inScratch = Object.fromEntries(
    Object.entries(fixtures).map(([name, open]) => [name, async () => withPrefix(await open(), prefix)]),
  )
  let leftBehind: string[] = []
  const cleanUp = async (): Promise<void> => {
    await inParallel(scratch.list(''), async ({ key }) => {
      await scratch.delete(key).catch(() => leftBehind.push(`${prefix}/${key}`))
    })
  }
  try {
    const { findings, tooStrong } = await probeStore(scratch, { signal: options.signal })
    const report = await runChecks(() => scratch, { ...given, fixtures: inScratch })
    leftBehind = []
    await cleanUp()
    const isSound = report.failed === 0 && tooStrong.length === 0 && leftBehind.length === 0
    return { ...report, findings, isSound, leftBehind }
  } catch (error) {
    await cleanUp().catch(() => undefined)
    throw error
  }
}

/** A report as text for a terminal: what failed first, then what was not shown, then claims and measurements. */
export function formatReport(report: StoreCheckReport): string {
  const of = (status: string) => report.results.filter((result) => result.status === status)
  const lines = [
    `${report.store}: ${report.isSound ? 'sound' : 'NOT SOUND'}; ${report.passed} passed, ${report.failed} failed, ` +
      `${report.skipped} not claimed, ${report.notShown} not shown`,
    ...of('failed').map(({ name, error }) => `failed     ${name}\n           ${firstLine(error)}`),
    ...of('skipped').map(({ name }) => `no claim   ${name}`),
    ...of('not-shown').map(({ name }) => `not shown  ${name}`),
    ...report.findings.map(
      ({ capability, claimed, found, evidence }) =>
        `claim      ${capability}: claims ${claimed}, found ${found}: ${evidence}`,
    ),
    ...report.results.flatMap(({ measured }) =>
      Object.entries(measured).map(([name, value]) => `measured   ${name}: ${value}`),
    ),
    ...report.leftBehind.map((key) => `left       ${key}`),
  ]
  return lines.join('\n')
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
}
