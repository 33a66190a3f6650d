/** Is a bucket sound? Checks the store that a URL names: node check-store.ts s3://bucket (memory: without one). */
import { checkStore, formatReport } from '@ws/conformance'
import { openStore } from '@ws/core'

const store = await openStore(process.argv[2] ?? 'memory:')
const report = await checkStore(store, {
  onResult: ({ status, name }) => console.error(status.padEnd(10), name),
})
console.log(formatReport(report))
process.exitCode = report.isSound ? 0 : 1
