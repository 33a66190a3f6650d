import { readdir } from 'node:fs/promises'
import type { BundleStore, WorkspaceSaveResult, WorkspaceVersion } from '../bundle/bundle-store.ts'
import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { isFlag, isObject, isOneOf, isSignal, isText } from '../option-checks.ts'
import type { ObjectStore } from '../store/object-store.ts'
import { beginBackup } from './begin-backup.ts'
import { makeDirectory } from './made-directory.ts'
import { isSameDirectory, noteBegun, notingSession, readSessionRecord } from './session-record.ts'
import { settleDirectory } from './settle-directory.ts'
import { Workspace } from './workspace.ts'

export interface BackupSessionOptions {
  /** @default 'session' */
  readonly message?: string | undefined
  /** A second place for the newest version, nearer than the store of the workspace, and never that store. @default none */
  readonly local?: ObjectStore | BundleStore | undefined
  /** See `SaveOptions.onConflict`. @default 'fail' */
  readonly onConflict?: 'fail' | 'rebase' | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

const backupSessionOptionNames: OptionNames<BackupSessionOptions> = {
  message: isText,
  local: isObject,
  onConflict: isOneOf('fail', 'rebase'),
  signal: isSignal,
}

/** JSON-safe. */
export interface SessionBackup extends WorkspaceSaveResult {
  /** Why there is no local copy of this version though one was asked for; `null`: there is. It is in the store. */
  readonly localProblem: string | null
}

export interface RestoreSessionOptions {
  readonly workspace: Workspace
  /**
   * Whether a directory that already holds this session is kept as it is. `false`: whatever is in it is replaced.
   * @default true
   */
  readonly live?: boolean | undefined
  /** Where `backupSession` has put its local copies. @default none */
  readonly local?: ObjectStore | BundleStore | undefined
  /** Whether the local copy may be taken when the store cannot say if it is the newest version. @default false */
  readonly allowStale?: boolean | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

const restoreSessionOptionNames: OptionNames<RestoreSessionOptions> = {
  workspace: true,
  live: isFlag,
  local: isObject,
  allowStale: isFlag,
  signal: isSignal,
}

/** JSON-safe. */
export interface RestoredSession {
  readonly source: 'live' | 'local' | 'store' | 'fresh'
  /** The version that the directory was made from; `null` when it is fresh. */
  readonly version: number | null
  /** Whether the store could not be asked for a newer version. A live directory is never compared with the store. */
  readonly isStale: boolean
  /** Why the local copy was not used though it was new enough; else `null`. */
  readonly localProblem: string | null
}

/** What a local copy says of the stored version that it is a copy of. */
const VERSION = 'session-version'
const CREATED_AT = 'session-created-at'

/**
 * Saves the directory of a workspace as its next version, made from the one that the session was restored from, then puts
 * a copy of it into `local`, unless that holds other versions of the workspace than such copies (`localProblem` says so).
 * The session is safe when this resolves, also without the local copy. The directory should be at rest: what changes
 * while it is saved may be in one of the two only. In the metadata of the version `session-backup` marks the backup.
 * @throws `CONFLICT` when somebody else has saved since the session was restored; nothing is stored then
 * (where nothing is known of the session, as when the state directory is gone, it is saved after the latest version)
 * @throws what `Workspace.save` throws
 */
export async function backupSession(
  workspace: Workspace,
  options: BackupSessionOptions = {},
): Promise<SessionBackup> {
  assertWorkspace('backupSession', workspace)
  assertKnownOptions('backupSession', options, backupSessionOptionNames)
  const { message = 'session', local, onConflict, signal } = options
  const begun = await beginBackup(workspace, signal)
  const save = () => workspace.save(message, { ...begun, onConflict, signal })
  const saved = await notingSession(workspace, save, ({ version }) => version.version)
  if (local === undefined) return { ...saved, localProblem: null }
  const { version, createdAt } = saved.version
  try {
    const metadata = { [VERSION]: String(version), [CREATED_AT]: createdAt }
    const copies = locally(workspace, local)
    await refuseOtherVersions(copies, signal)
    await copies.save(message, { metadata, onConflict: 'rebase', signal })
    return { ...saved, localProblem: null }
  } catch (error) {
    signal?.throwIfAborted()
    return { ...saved, localProblem: textOf(error) }
  }
}

/**
 * A copy beside other versions would be the newest of them. Two objects can stand for one store, so that only what is in
 * it tells.
 */
async function refuseOtherVersions(copies: Workspace, signal: AbortSignal | undefined): Promise<void> {
  const newest = await newestVersion(copies, signal)
  if (newest === null || newest.metadata[VERSION] !== undefined) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `local holds versions of ${copies.id} that are no local copies: it is the store of the workspace, or another one in use. Give local a store of its own.`,
    { details: { option: 'local', workspaceId: copies.id } },
  )
}

/**
 * Brings a session back from the nearest place that has it: the directory itself when it is not empty and is that of this
 * workspace; a local copy that is not older than the newest stored version; the store; else an empty directory. A
 * restore that was cut off is done again by the next one.
 * @throws `CONFLICT` for a directory with content that no session of this workspace is known to have put there
 * @throws `UNAVAILABLE` and the like when the store cannot be reached, unless `allowStale` and there is a local copy: an
 * outage never gives an empty directory
 */
export async function restoreSession(options: RestoreSessionOptions): Promise<RestoredSession> {
  assertKnownOptions('restoreSession', options, restoreSessionOptionNames)
  const { workspace, live = true, signal } = options
  assertWorkspace('restoreSession', workspace)
  signal?.throwIfAborted()
  await settleDirectory(workspace, signal)
  const kept = live ? await findLive(workspace) : null
  if (kept !== null) return { source: 'live', version: kept.version, isStale: false, localProblem: null }
  const { stored, copy, isStale } = await findCopies(options)

  const removeMade = await makeDirectory(workspace.path)
  try {
    const restore = async () => {
      await noteBegun(workspace, null, { isRestoring: true })
      return loadNearest(options, { stored, copy, isStale })
    }
    return await notingSession(workspace, restore, ({ version }) => version)
  } catch (error) {
    await removeMade()
    throw error
  }
}

/** @throws `INVALID_INPUT` without a store, and for what callers without types may pass */
function assertWorkspace(call: string, workspace: unknown): void {
  const isGiven = typeof workspace === 'object' && workspace !== null
  if (isGiven && 'hasStore' in workspace && workspace.hasStore === true) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `${call} needs a workspace with a store: new Workspace({ id, path, store }).`,
    { details: { option: 'workspace' } },
  )
}

async function findLive(workspace: Workspace): Promise<{ readonly version: number | null } | null> {
  const names = await readdir(workspace.path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new WorkspaceError(
      'INVALID_INPUT',
      `Cannot read ${workspace.path} as a directory (${error.code}).`,
      {
        cause: error,
        details: { path: workspace.path },
      },
    )
  })
  if (names.length === 0) return null
  const record = await readSessionRecord(workspace)
  if (
    record !== null &&
    record.workspaceId === workspace.id &&
    (await isSameDirectory(workspace.path, record))
  ) {
    return record.isRestoring ? null : record
  }
  throw new WorkspaceError(
    'CONFLICT',
    `${workspace.path} is not empty, and no session of ${workspace.id} is known to be in it. Back it up first, use another directory, or pass live: false to replace what it holds.`,
    { details: { path: workspace.path, workspaceId: workspace.id } },
  )
}

interface Copies {
  readonly stored: WorkspaceVersion | null
  readonly copy: LocalCopy | null
  readonly isStale: boolean
}

interface LocalCopy {
  readonly workspace: Workspace
  /** In the local store, which counts on its own. */
  readonly localVersion: number
  readonly version: number
}

/** The newest stored version, and the local copy if it may be taken in its place. */
async function findCopies(options: RestoreSessionOptions): Promise<Copies> {
  const { workspace, local, allowStale = false, signal } = options
  const found =
    local === undefined
      ? null
      : await newestVersion(locally(workspace, local), signal).catch(onlyAborts(signal))
  const version = Number(found?.metadata[VERSION])
  const copy =
    local === undefined || found === null || !Number.isSafeInteger(version)
      ? null
      : { workspace: locally(workspace, local), localVersion: found.version, version }
  let stored: WorkspaceVersion | null
  try {
    stored = await newestVersion(workspace, signal)
  } catch (error) {
    signal?.throwIfAborted()
    if (!allowStale || copy === null || !WorkspaceError.is(error) || !error.retryable) throw error
    return { stored: null, copy, isStale: true }
  }
  const isCurrent =
    stored === null ||
    version > stored.version ||
    (version === stored.version && found?.metadata[CREATED_AT] === stored.createdAt)
  return { stored, copy: isCurrent ? copy : null, isStale: false }
}

async function loadNearest(
  { workspace, signal }: RestoreSessionOptions,
  { stored, copy, isStale }: Copies,
): Promise<RestoredSession> {
  let localProblem: string | null = null
  if (copy !== null) {
    try {
      const loaded = await copy.workspace.load({ version: copy.localVersion, signal })
      if (loaded !== null) return { source: 'local', version: copy.version, isStale, localProblem }
      localProblem = 'It was removed meanwhile.'
    } catch (error) {
      signal?.throwIfAborted()
      if (stored === null) throw error
      localProblem = textOf(error)
    }
  }
  if (stored !== null) {
    const loaded = await workspace.load({ version: stored.version, signal })
    if (loaded !== null) return { source: 'store', version: stored.version, isStale, localProblem }
    throw new WorkspaceError(
      'CONFLICT',
      `Version ${stored.version} of ${workspace.id} was removed while it was being restored. Restore again.`,
    )
  }
  if (copy !== null)
    throw new WorkspaceError(
      'NOT_FOUND',
      `The local copy of ${workspace.id} was removed while it was restored.`,
    )
  if ((await readdir(workspace.path)).length > 0)
    throw new WorkspaceError(
      'CONFLICT',
      `Nothing was saved of ${workspace.id} and ${workspace.path} is not empty. Empty it, or back it up first.`,
      { details: { path: workspace.path } },
    )
  return { source: 'fresh', version: null, isStale, localProblem }
}

async function newestVersion(
  workspace: Workspace,
  signal: AbortSignal | undefined,
): Promise<WorkspaceVersion | null> {
  for await (const version of workspace.history({ signal })) return version
  return null
}

function locally({ id, path, stateDir, exclude }: Workspace, store: ObjectStore | BundleStore): Workspace {
  return new Workspace({ id, path, stateDir, exclude, store })
}

/** A local copy that cannot be read is none: the store decides. */
function onlyAborts(signal: AbortSignal | undefined): () => null {
  return () => {
    signal?.throwIfAborted()
    return null
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
