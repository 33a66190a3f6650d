import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toWorkspaceError } from '../filesystem/filesystem-error.ts'
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

type Begun = Partial<Pick<SessionRecord, 'isRestoring' | 'backup'>>

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

/**
 * Does a save or a load and notes which version the directory holds then; the room for that is taken before, so that it
 * does not fail because the disk of the state directory is full. When the work fails, the record stays what it was.
 * @throws `QUOTA_EXCEEDED`, `ACCESS_DENIED` and the like, before the work is begun; what the work throws
 */
export async function notingSession<T>(
  workspace: Workspace,
  work: () => Promise<T>,
  versionOf: (result: T) => number | null,
): Promise<T> {
  const note = await prepareNote(workspace)
  let result: T
  try {
    result = await work()
  } catch (error) {
    // Why the work failed matters more.
    await note.undo().catch(() => undefined)
    throw error
  }
  await note.write(versionOf(result))
  return result
}

/** Notes what has begun, for whoever comes after it was cut off. @throws as {@link notingSession} */
export async function noteBegun(workspace: Workspace, version: number | null, begun: Begun): Promise<void> {
  const note = await prepareNote(workspace)
  await note.write(version, begun)
}

/** Room for a record of the session in the state directory, taken before it is known what the record will say. */
interface SessionNote {
  /** Replaces the record; what it said before counts until then. */
  write(version: number | null, begun?: Begun): Promise<void>
  /** In its place: the record is again what it was when the room was taken. */
  undo(): Promise<void>
}

/** As much as a record may take; each takes as much. */
const RECORD_BYTES = 1024

async function prepareNote(workspace: Workspace): Promise<SessionNote> {
  const root = await resolveWorkspaceRoot(workspace.path)
  const path = await recordPath(workspace, root)
  const directory = await identityOf(root)
  const former = await readFile(path, 'utf8').catch(() => null)
  const temporary = `${path}.${randomUUID()}`
  const put = async (text: string, flag: 'wx' | 'r+'): Promise<void> => {
    try {
      await writeFile(temporary, text.padEnd(RECORD_BYTES), { mode: 0o600, flag, flush: true })
      if (flag === 'r+') await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw toWorkspaceError(error, 'use the state directory', path)
    }
  }
  await put('', 'wx')
  return {
    write(version, { isRestoring = false, backup } = {}) {
      const record: SessionRecord = { workspaceId: workspace.id, version, directory, isRestoring, backup }
      return put(JSON.stringify(record), 'r+')
    },
    async undo() {
      if (former !== null) return put(former.trimEnd(), 'r+')
      for (const each of [path, temporary]) await rm(each, { force: true })
    },
  }
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
