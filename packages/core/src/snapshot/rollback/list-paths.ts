import type { ByteString } from '../../filesystem/directory-handle.ts'
import { fromBytePath } from '../byte-path.ts'

/** A path as callers see it; the workspace itself is `.`. */
export function shownPath(path: ByteString): string {
  return path === '' ? '.' : fromBytePath(path)
}

/** The first few of them, for a sentence. */
export function listPaths(paths: readonly string[]): string {
  const shown = paths
    .slice(0, 5)
    .map((path) => JSON.stringify(path))
    .join(', ')
  return paths.length > 5 ? `${shown} and ${paths.length - 5} more` : shown
}
