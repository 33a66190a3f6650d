import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** So that what is measured afterwards is not what was left before. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') collect()
}
