import { randomUUID } from 'node:crypto'
import type { SaveOptions } from '../bundle/bundle-store.ts'
import {
  isSameDirectory,
  readSessionRecord,
  writeSessionRecord,
  type SessionRecord,
} from './session-record.ts'
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
  const parent = await findParent(workspace, record, signal)
  const backup = randomUUID()
  // Where the disk is full the session is saved all the same.
  await writeSessionRecord(workspace, record.version, { ...record, backup }).catch(() => undefined)
  return { parent, metadata: { [BACKUP]: backup } }
}

async function findParent(
  workspace: Workspace,
  { version, backup }: SessionRecord,
  signal: AbortSignal | undefined,
): Promise<number> {
  const noted = version ?? 0
  if (backup === undefined) return noted
  for await (const saved of workspace.history({ signal })) {
    if (saved.version <= noted) break
    if (saved.metadata[BACKUP] === backup) return saved.version
  }
  return noted
}
