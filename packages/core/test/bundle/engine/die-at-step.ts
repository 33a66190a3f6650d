/**
 * Lets one process die many times: from the n-th call on that changes a file system every such call fails, so that what
 * is on the disk stays as a kill before that call would have left it. Preload it, before anything imports `node:fs`.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module'

type Call = (...arguments_: unknown[]) => unknown

const fs = createRequire(import.meta.url)('node:fs') as Record<string, Call>
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
  'chownSync',
  'fchmodSync',
  'chmodSync',
  'futimesSync',
  'utimesSync',
  'lutimesSync',
  'ftruncateSync',
]
let count = 0
let deadFrom = Number.POSITIVE_INFINITY

for (const name of changing) {
  const original = fs[name]
  if (original === undefined) continue
  fs[name] = (...arguments_) => {
    count += 1
    if (count >= deadFrom) throw new Error('dead')
    return original(...arguments_)
  }
}
syncBuiltinESMExports()

/** @returns how many such calls were made; `isDead` when the last of them was not */
async function dieAt(
  step: number,
  work: () => Promise<unknown>,
): Promise<{ steps: number; isDead: boolean }> {
  count = 0
  deadFrom = step
  let failure: unknown
  try {
    await work()
  } catch (error) {
    failure = error
  }
  const isDead = count >= step
  deadFrom = Number.POSITIVE_INFINITY
  if (failure !== undefined && !isDead) throw failure
  return { steps: count, isDead }
}

Object.assign(globalThis, { dieAt })
