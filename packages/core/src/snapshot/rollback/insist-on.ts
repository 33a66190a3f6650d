import { chmodSync } from 'node:fs'
import { errnoOf } from '../../filesystem/filesystem-error.ts'

export interface InsistenceOptions {
  readonly platform?: NodeJS.Platform | undefined
  readonly wait?: ((ms: number) => void) | undefined
  readonly makeWritable?: ((file: string | Buffer) => void) | undefined
}

const PAUSES_MS = [10, 20, 40, 80, 160, 320, 640]

/**
 * Removes or replaces a file. On Windows that fails for as long as a virus scanner, an indexer or an editor has the
 * file open, and for good when it has the read-only attribute: so it is tried again for about a second, once more
 * after the attribute has been taken away. Elsewhere the first failure counts.
 * @throws what the operation threw last
 */
export function insistOn(
  operation: () => void,
  file: string | Buffer,
  options: InsistenceOptions = {},
): void {
  const { platform = process.platform, wait = sleepSync, makeWritable = clearReadOnly } = options
  for (let attempt = 0; ; attempt += 1) {
    try {
      operation()
      return
    } catch (error) {
      const pause = PAUSES_MS[attempt]
      const mayPass = platform === 'win32' && ['EBUSY', 'EPERM', 'EACCES'].includes(errnoOf(error) ?? '')
      if (!mayPass || pause === undefined) throw error
      if (attempt === 0) makeWritable(file)
      wait(pause)
    }
  }
}

function clearReadOnly(file: string | Buffer): void {
  try {
    chmodSync(file, 0o666)
  } catch {
    // Then the next attempt says why.
  }
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
