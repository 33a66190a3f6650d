/** `pnpm bench [--only <suite>] [--quick] [--full] [--json] [--markdown <file>]` */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepareBenchDirectory } from './bench-directory.ts'
import { describeMachine } from './machine.ts'
import type { ComparisonTable, Measurement, Suite } from './measurement.ts'
import { formatComparison, formatOverTarget, formatTable, replaceReport } from './report.ts'
import { buildPackages } from './run-workspace-child.ts'
import { bundleSuite } from './suites/bundle.ts'
import { gitSnapshotSuite } from './suites/git-snapshot.ts'
import { hashSnapshotSuite } from './suites/hash-snapshot.ts'
import { hugeFileSuite } from './suites/huge-file.ts'
import { limitsSuites } from './suites/limits.ts'
import { memorySuite } from './suites/memory.ts'
import { manyOtherWaysSuite, otherWaysSuite, projectOtherWaysSuite } from './suites/other-ways.ts'
import { runSuite } from './suites/run.ts'
import { largeStoresSuite, storesSuite } from './suites/stores.ts'
import { versionHistorySuite } from './suites/version-history.ts'
import {
  largeVersionsSuite,
  manyVersionsSuite,
  projectVersionsSuite,
  smallVersionsSuite,
} from './suites/versions.ts'

const suites: readonly Suite[] = [
  gitSnapshotSuite,
  hashSnapshotSuite,
  otherWaysSuite,
  projectOtherWaysSuite,
  runSuite,
  bundleSuite,
  smallVersionsSuite,
  projectVersionsSuite,
  largeVersionsSuite,
  versionHistorySuite,
  memorySuite,
  ...limitsSuites,
  manyOtherWaysSuite,
  manyVersionsSuite,
  hugeFileSuite,
  storesSuite,
  largeStoresSuite,
]

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    markdown: { type: 'string' },
  },
})
const chosen = suites.filter(
  ({ name, isHeavy }) => options.only?.includes(name) ?? (options.full || isHeavy !== true),
)
if (chosen.length === 0) throw new Error(`--only takes: ${suites.map((suite) => suite.name).join(', ')}`)
// Before minutes of work, which would be lost with a page that cannot be read.
if (options.markdown !== undefined) replaceReport(readFileSync(options.markdown, 'utf8'), '')
const log = (line: string): void => console.error(line)

await buildPackages(log)
const place = await prepareBenchDirectory()
const onSignal = (): void => void place.remove().finally(() => process.exit(130))
process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
const measurements: Measurement[] = []
const tables: ComparisonTable[] = []
const failures: string[] = []
const machine = await describeMachine(place.fileSystem)
try {
  for (const suite of chosen) {
    log(`${suite.name} ...`)
    const directory = join(place.path, suite.name)
    mkdirSync(directory)
    try {
      const { quick: isQuick, full: isFull } = options
      const result = await suite.run({ directory, samples: isQuick ? 3 : 11, isQuick, isFull, log })
      measurements.push(...result.measurements)
      tables.push(...(result.tables ?? []))
    } catch (error) {
      failures.push(`${suite.name} failed: ${String(error)}`)
    }
    rmSync(directory, { recursive: true, force: true })
  }
} finally {
  await place.remove()
}

const report = [
  `${new Date().toISOString().slice(0, 10)}${options.quick ? ', a quick run: smaller trees, few samples' : ''}: ${machine}.`,
  formatTable(measurements),
  formatOverTarget(measurements),
  ...tables.map(formatComparison),
  ...failures.map((failure) => `**${failure}**`),
].join('\n\n')
console.log(options.json ? JSON.stringify({ machine, measurements, tables, failures }, null, 2) : report)
if (options.markdown !== undefined) {
  writeFileSync(options.markdown, `${replaceReport(readFileSync(options.markdown, 'utf8'), report)}`)
}
if (failures.length > 0) process.exitCode = 1
