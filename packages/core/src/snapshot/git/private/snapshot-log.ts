import { appendFileSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Snapshot } from '../../snapshot.ts'
import type { RetainableSnapshot } from '../../retained-snapshots.ts'
import type { PrivateRepository } from './private-repository.ts'
import { replaceOwnFile } from './replace-own-file.ts'

/** A snapshot that the private repository answers for: as long as it is in the log, its objects are kept. */
export interface LoggedSnapshot extends RetainableSnapshot {
  readonly id: string
  /** What it recorded of the repository. */
  readonly repository?: string | undefined
}

/** Notes a capture. Call it under the workspace's lock, when all that the snapshot needs is stored. */
export function logSnapshot(
  own: PrivateRepository,
  { id, ref, label, capturedAt, metadata }: Snapshot,
): void {
  const { repository } = metadata
  // Begins a line of its own, whatever a killed capture left of its last one.
  appendFileSync(logPath(own), `\n${JSON.stringify({ id, ref, label, capturedAt, repository })}`, {
    mode: 0o600,
  })
}

/** Oldest first. */
export function readSnapshotLog(own: PrivateRepository): LoggedSnapshot[] {
  const snapshots: LoggedSnapshot[] = []
  for (const line of readText(logPath(own)).split('\n')) {
    try {
      const { id, ref, label, capturedAt, repository } = JSON.parse(line) as Partial<
        Record<keyof LoggedSnapshot, unknown>
      >
      if (typeof id !== 'string' || typeof ref !== 'string') continue
      if (typeof label !== 'string' || typeof capturedAt !== 'string') continue
      const recorded = typeof repository === 'string' ? { repository } : {}
      snapshots.push({ id, ref, label, capturedAt, ...recorded })
    } catch {
      // Half of a line, by a capture that was killed and has given its snapshot to nobody.
    }
  }
  return snapshots
}

/** Replaces the log. Call it under the workspace's lock. */
export function writeSnapshotLog(own: PrivateRepository, snapshots: readonly LoggedSnapshot[]): void {
  const text = snapshots.map((snapshot) => `\n${JSON.stringify(snapshot)}`).join('')
  replaceOwnFile(own, logPath(own), text)
}

/** Changes with every capture. */
export function snapshotLogStamp(own: PrivateRepository): string {
  const stats = statSync(logPath(own), { throwIfNoEntry: false, bigint: true })
  return stats === undefined ? '' : `${stats.ino}:${stats.size}`
}

function logPath(own: PrivateRepository): string {
  return join(own.directory, 'snapshots')
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
