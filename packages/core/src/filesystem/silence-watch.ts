import { stat } from 'node:fs/promises'
import { errnoOf } from './filesystem-error.ts'

/** How long an owner that cannot be looked at (another host or container) may be silent before it counts as dead. */
const SILENCE_LIMIT_MS = 90_000

/**
 * Tells owners that are silent by the time of their last sign of life. A time that lies ahead of this clock says nothing
 * about how long ago it was; such an owner is silent when no other sign comes while somebody watches.
 */
export function silenceWatch(): (path: string) => Promise<boolean> {
  const seen = new Map<string, { readonly mtimeMs: number; readonly at: number }>()
  return async (path) => {
    const mtimeMs = await signOfLife(path)
    if (mtimeMs === null) return true
    if (Date.now() - mtimeMs > SILENCE_LIMIT_MS) return true
    const before = seen.get(path)
    if (before?.mtimeMs === mtimeMs) return performance.now() - before.at > SILENCE_LIMIT_MS
    seen.set(path, { mtimeMs, at: performance.now() })
    return false
  }
}

/** @returns `null` when the file is gone */
async function signOfLife(path: string): Promise<number | null> {
  try {
    return (await stat(path)).mtimeMs
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}
