/** Preloaded into a child: kills it before its n-th call that changes a file system (WS_KILL_AT), or counts them. */
import { writeFileSync } from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'

const fs = createRequire(import.meta.url)('node:fs') as Record<string, (...arguments_: unknown[]) => unknown>
const changing = [
  'mkdirSync',
  'renameSync',
  'linkSync',
  'symlinkSync',
  'unlinkSync',
  'rmdirSync',
  'openSync',
  'writeSync',
  'writeFileSync',
  'fchmodSync',
  'chmodSync',
  'futimesSync',
  'utimesSync',
  'lutimesSync',
  'ftruncateSync',
]
const killAt = Number(process.env['WS_KILL_AT'] ?? 0)
const writeCount = fs['writeFileSync'] ?? writeFileSync
let count = 0
let isOn = false
for (const name of changing) {
  const original = fs[name]
  if (original === undefined) continue
  fs[name] = (...arguments_) => {
    if (isOn) {
      count += 1
      if (count === killAt) process.kill(process.pid, 'SIGKILL')
    }
    return original(...arguments_)
  }
}
syncBuiltinESMExports()
Object.assign(globalThis, {
  startCounting: () => (isOn = true),
  reportCount: () => {
    isOn = false
    writeCount(1, `steps ${count}\n`)
  },
})
