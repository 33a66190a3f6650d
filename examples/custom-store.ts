/**
 * A store of your own: one object with five methods. This one counts what passes through another store, and runs the
 * contract's checks on itself.
 */
import { runChecks } from '@ws/conformance'
import type { ObjectStore } from '@ws/core'
import { memoryStore } from '@ws/store-memory'

function countingStore(inner: ObjectStore, counts: Map<string, number>): ObjectStore {
  const count = (method: string): void => void counts.set(method, (counts.get(method) ?? 0) + 1)
  return {
    name: `counting ${inner.name}`,
    capabilities: inner.capabilities,
    get: (key, options) => (count('get'), inner.get(key, options)),
    head: (key, options) => (count('head'), inner.head(key, options)),
    put: (key, body, options) => (count('put'), inner.put(key, body, options)),
    delete: (key, options) => (count('delete'), inner.delete(key, options)),
    list: (prefix, options) => (count('list'), inner.list(prefix, options)),
  }
}

const counts = new Map<string, number>()
const report = await runChecks(() => countingStore(memoryStore(), counts))
for (const { name, status, error } of report.results) {
  if (status === 'failed') console.error(`${name}: ${String(error)}`)
}
const calls = JSON.stringify(Object.fromEntries(counts))
console.log(`${report.passed} checks passed, ${report.failed} failed; calls: ${calls}`)
process.exitCode = report.failed === 0 ? 0 : 1
