import { rmdirSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Takes back directories that were made for something that failed, from the innermost outwards. One that something came
 * into stays, and so do those around it; what else is in the way is not reported, since the failure is.
 */
export function removeEmptyDirectories(innermost: string, outermost: string): void {
  try {
    for (let directory = innermost; ; directory = dirname(directory)) {
      rmdirSync(directory)
      if (directory === outermost) return
    }
  } catch {
    // See above.
  }
}
