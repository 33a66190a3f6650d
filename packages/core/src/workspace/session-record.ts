import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { inStateDirectory } from '../filesystem/filesystem-error.ts'
import { prepareStateDirectory } from '../filesystem/state-directory.ts'
import { resolveWorkspaceRoot } from '../filesystem/workspace-root.ts'
import type { Workspace } from './workspace.ts'

/** Kept outside of the directory: which session it holds. Lost or unreadable: none is known. */
export interface SessionRecord {
  readonly workspaceId: string
  /** The stored version that it was made from; `null` for none. */
  readonly version: number | null
  /** Device, inode and time of birth: another directory that was put under the same path is not this one. */
  readonly directory: string
  /** Whether a restore has begun and not ended. */
  readonly isRestoring: boolean
  /** The backup that has begun and not ended; see `beginBackup`. */
  readonly backup?: string | undefined
}

export async function readSessionRecord(workspace: Workspace): Promise<SessionRecord | null> {
  const root = await resolveWorkspaceRoot(workspace.path)
  const text = await readFile(await recordPath(workspace, root), 'utf8').catch(() => '')
  try {
    const record: unknown = JSON.parse(text)
    return isRecord(record) ? record : null
  } catch {
    return null
  }
}

export async function writeSessionRecord(
  workspace: Workspace,
  version: number | null,
  { isRestoring = false, backup }: Partial<Pick<SessionRecord, 'isRestoring' | 'backup'>> = {},
): Promise<void> {
  const root = await resolveWorkspaceRoot(workspace.path)
  const directory = await identityOf(root)
  const record: SessionRecord = { workspaceId: workspace.id, version, directory, isRestoring, backup }
  const path = await recordPath(workspace, root)
  const temporary = `${path}.${randomUUID()}`
  await inStateDirectory(dirname(path), async () => {
    try {
      await writeFile(temporary, JSON.stringify(record), { mode: 0o600, flush: true })
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  })
}

export async function isSameDirectory(path: string, record: SessionRecord): Promise<boolean> {
  return (await identityOf(path)) === record.directory
}

async function identityOf(path: string): Promise<string> {
  const { dev, ino, birthtimeNs } = await stat(path, { bigint: true })
  return `${dev}:${ino}:${birthtimeNs}`
}

async function recordPath({ stateDir }: Workspace, root: string): Promise<string> {
  return join(await prepareStateDirectory(root, stateDir), 'session.json')
}

function isRecord(value: unknown): value is SessionRecord {
  if (typeof value !== 'object' || value === null) return false
  const { workspaceId, version, directory, isRestoring, backup } = value as Partial<SessionRecord>
  const isVersion = version === null || Number.isSafeInteger(version)
  return (
    typeof workspaceId === 'string' &&
    isVersion &&
    typeof directory === 'string' &&
    typeof isRestoring === 'boolean' &&
    (backup === undefined || typeof backup === 'string')
  )
}
