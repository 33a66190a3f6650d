/** `pnpm bench [--only <suite>] [--quick] [--json] [--markdown <file>]` */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { prepareBenchDirectory } from './bench-directory.ts'
import { describeMachine } from './machine.ts'
import type { Measurement, Suite } from './measurement.ts'
import { formatTable, replaceReport } from './report.ts'
import { bundleSuite } from './suites/bundle.ts'
import { gitSnapshotSuite } from './suites/git-snapshot.ts'
import { hashSnapshotSuite } from './suites/hash-snapshot.ts'
import { memorySuite } from './suites/memory.ts'
import { runSuite } from './suites/run.ts'

const suites: readonly Suite[] = [gitSnapshotSuite, hashSnapshotSuite, runSuite, bundleSuite, memorySuite]

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    markdown: { type: 'string' },
  },
})
const chosen = suites.filter((suite) => options.only?.includes(suite.name) ?? true)
if (chosen.length === 0) throw new Error(`--only takes: ${suites.map((suite) => suite.name).join(', ')}`)
const log = (line: string): void => console.error(line)

const place = await prepareBenchDirectory()
const onSignal = (): void => void place.remove().finally(() => process.exit(130))
process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
const measurements: Measurement[] = []
const failures: string[] = []
const machine = await describeMachine(place.fileSystem)
try {
  for (const suite of chosen) {
    log(`${suite.name} ...`)
    const directory = join(place.path, suite.name)
    mkdirSync(directory)
    try {
      measurements.push(
        ...(await suite.run({ directory, samples: options.quick ? 3 : 15, isQuick: options.quick, log })),
      )
    } catch (error) {
      failures.push(`${suite.name} failed: ${String(error)}`)
    }
    rmSync(directory, { recursive: true, force: true })
  }
} finally {
  await place.remove()
}

const report = [
  `${new Date().toISOString().slice(0, 10)}: ${machine}.`,
  formatTable(measurements),
  ...failures.map((failure) => `**${failure}**`),
].join('\n\n')
console.log(options.json ? JSON.stringify({ machine, measurements, failures }, null, 2) : report)
if (options.markdown !== undefined) {
  writeFileSync(options.markdown, `${replaceReport(readFileSync(options.markdown, 'utf8'), report)}`)
}
if (failures.length > 0) process.exitCode = 1
