import { randomUUID } from 'node:crypto'
import type { SaveOptions } from '../bundle/bundle-store.ts'
import { isSameDirectory, noteBegun, readSessionRecord, type SessionRecord } from './session-record.ts'
import type { Workspace } from './workspace.ts'

/** Which backup made a version: one that is killed before it has noted the version knows it again by this. */
const BACKUP = 'session-backup'

/** For the save of a backup: the version it is made from, where that is known, and what it will be known again by. */
export async function beginBackup(
  workspace: Workspace,
  signal: AbortSignal | undefined,
): Promise<Pick<SaveOptions, 'parent' | 'metadata'>> {
  const record = await readSessionRecord(workspace)
  if (record?.workspaceId !== workspace.id || !(await isSameDirectory(workspace.path, record))) return {}
  const version = await findVersion(workspace, record, signal)
  const backup = randomUUID()
  await noteBegun(workspace, version, { ...record, backup })
  return { parent: version ?? 0, metadata: { [BACKUP]: backup } }
}

/** That which the directory was restored from or backed up as, also by a backup that was killed. */
async function findVersion(
  workspace: Workspace,
  { version, backup }: SessionRecord,
  signal: AbortSignal | undefined,
): Promise<number | null> {
  if (backup === undefined) return version
  for await (const saved of workspace.history({ signal })) {
    if (saved.version <= (version ?? 0)) break
    if (saved.metadata[BACKUP] === backup) return saved.version
  }
  return version
}
