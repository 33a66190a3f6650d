import { rmdirSync } from 'node:fs'
import { futureRealPath, remakeRoot } from '../filesystem/workspace-root.ts'
import type { Snapshot } from '../snapshot/snapshot.ts'

/**
 * Does work that brings a snapshot back, also where its directory has been removed: that is made anew then, empty and private
 * until its permissions come back. Where the work fails, or is not to be seen afterwards, it is gone again.
 */
export async function inRemadeDirectory<T>(
  { path, snapshot, leavesNoTrace }: { path: string; snapshot: Snapshot; leavesNoTrace: boolean },
  work: () => Promise<T>,
): Promise<T> {
  const isMade = futureRealPath(path) === snapshot.path && remakeRoot(snapshot.path, 0o700)
  let isKept = !isMade
  try {
    const result = await work()
    isKept ||= !leavesNoTrace
    return result
  } finally {
    if (!isKept) removeIfEmpty(snapshot.path)
  }
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // Somebody else has put something into it, or what failed could not be taken back: the next call ends that.
  }
}
