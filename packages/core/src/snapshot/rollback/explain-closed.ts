import type { ByteString } from '../../filesystem/directory-handle.ts'
import { parentOf } from '../byte-path.ts'
import type { PresentState } from './rollback-source.ts'

/** Whether a path, or a directory above it, could not be read. */
export function closedIn({ unreadable }: PresentState): (path: ByteString) => boolean {
  const closed = new Set(unreadable)
  return (path) => {
    for (let part = path; part !== ''; part = parentOf(part)) if (closed.has(part)) return true
    return false
  }
}

/** What helps where the rollback cannot help itself, because it belongs to somebody else. */
export function adviseAccess(paths: readonly string[]): string {
  const [first = ''] = paths
  return `Let this user read what is there (as its owner: chmod -R u+rX ${JSON.stringify(first)}, or chown it), then roll back again.`
}
