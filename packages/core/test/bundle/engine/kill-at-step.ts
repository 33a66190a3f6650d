/** Preloaded into a child: kills it before its n-th call that changes a file system (WS_KILL_AT), or counts them. */
import { writeFileSync } from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'

type Calls = Record<string, ((...arguments_: unknown[]) => unknown) | undefined>

const fs = createRequire(import.meta.url)('node:fs') as Calls
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
  'rmSync',
  'write',
  'fsync',
]
const changingPromises = [
  'mkdir',
  'writeFile',
  'appendFile',
  'link',
  'unlink',
  'rename',
  'truncate',
  'utimes',
  'rm',
]
const killAt = Number(process.env['WS_KILL_AT'] ?? 0)
const writeCount = fs['writeFileSync'] ?? writeFileSync
let count = 0
let isOn = false
function watch(calls: Calls, name: string): void {
  const original = calls[name]
  if (original === undefined) return
  const watched = (...arguments_: unknown[]): unknown => {
    if (isOn) {
      count += 1
      if (count === killAt) process.kill(process.pid, 'SIGKILL')
    }
    return original(...arguments_)
  }
  // With what `promisify` looks for.
  calls[name] = Object.defineProperties(watched, Object.getOwnPropertyDescriptors(original))
}

for (const name of changing) watch(fs, name)
for (const name of changingPromises) watch(fs['promises'] as unknown as Calls, name)
syncBuiltinESMExports()
Object.assign(globalThis, {
  startCounting: () => (isOn = true),
  reportCount: () => {
    isOn = false
    writeCount(1, `steps ${count}\n`)
  },
})
