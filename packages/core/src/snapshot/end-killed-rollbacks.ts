import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { CapturePolicyOptions } from './capture-policy.ts'
import { openSnapshotBackend } from './open-snapshot-backend.ts'
import { closeJournal, isRollbackBegun, noteRecovery, readJournal } from './rollback/rollback-journal.ts'
import type { SnapshotBackendName } from './snapshot.ts'

interface EndOptions extends CapturePolicyOptions {
  /** Real path of the workspace. */
  readonly path: string
  /** The workspace's private state directory. */
  readonly stateDirectory: string
  /** The backend that ends its own, and tells. @default none */
  readonly except?: SnapshotBackendName | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Ends rollbacks that were killed, for whoever is about to read or replace the directory as a whole: what they have left
 * half done is no state of it, and ended later they would undo what was put there since. Waits for one that goes on.
 * Those of a directory that is gone are forgotten. The next snapshot or rollback by the same backend tells.
 * @throws `BUSY` when another process is at it for five minutes, and what keeps a rollback from its end
 */
export async function endKilledRollbacks({ except, signal, ...workspace }: EndOptions): Promise<void> {
  for (const strategy of ['git', 'bundle'] as const) {
    if (strategy === except) continue
    for (const journalDirectory of journalDirectories(join(workspace.stateDirectory, strategy))) {
      if (!isRollbackBegun({ journalDirectory })) continue
      if (!existsSync(workspace.path)) {
        closeJournal({ journalDirectory })
        continue
      }
      // The repository may have been made anew since, in another object format.
      const ref = readJournal({ journalDirectory })?.target.ref
      const backend = await openSnapshotBackend({ ...workspace, strategy, isForSnapshots: true, ref })
      const { metadata } = await backend.capture({ label: 'rollback_check', signal })
      if (metadata.recovery !== undefined) noteRecovery({ journalDirectory }, metadata.recovery)
    }
  }
}

/** One for each format or workspace that the backend keeps apart. */
function journalDirectories(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => join(directory, name))
  } catch {
    // Nothing was ever captured, or nothing can be read there, as whoever captures will say.
    return []
  }
}
