import { randomBytes } from 'node:crypto'
import { WorkspaceError } from '../../../errors.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { commitVersion } from '../repository/commit-version.ts'
import { findLatestVersion, findVersion, readNumber } from '../repository/list-versions.ts'
import { COMMIT_WINDOW_MS, packsGone } from '../repository/pack-safety.ts'
import type { Repository } from '../repository/repository.ts'
import { confirmLateCommit } from './save-version.ts'

export interface ForkVersionOptions {
  readonly workspaceId: string
  /** @default the latest */
  readonly version?: number | undefined
  /** The id of the new workspace. */
  readonly newId: string
  readonly message: string
  readonly author: string | null
  readonly metadata: Readonly<Record<string, string>>
  readonly template?: boolean | undefined
  /** Gives the time that the version is stamped with, ISO 8601. @default the repository's clock */
  readonly createdAt?: (() => string) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

const ATTEMPTS = 3

/**
 * Starts a new workspace from a version of another one: its first version is one record that names the same packs, so
 * it costs the same for any size and any number of forks before it, and stays whole when its source is deleted.
 * @throws `NOT_FOUND` when there is no such version, `ALREADY_EXISTS` when the id is taken
 */
export async function forkVersion(
  repository: Repository,
  options: ForkVersionOptions,
): Promise<VersionRecord> {
  const { workspaceId, newId, signal } = options
  const { now } = repository
  if ((await findLatestVersion(repository, newId, signal)) !== null) throw alreadyExists(newId)
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    // The source is seen before its packs are named; COMMIT_WINDOW_MS bounds what can happen to them in between.
    const seenAt = now()
    const source = await findVersion(repository, workspaceId, options.version, signal)
    if (source === null) throw notFound(workspaceId, options.version)
    if (now() - seenAt > COMMIT_WINDOW_MS / 2) continue
    const fork: VersionRecord = {
      ...source,
      workspaceId: newId,
      version: 1,
      parent: { workspaceId, version: source.version },
      nonce: randomBytes(16).toString('hex'),
      message: options.message,
      author: options.author,
      metadata: options.metadata,
      tags: [],
      createdAt: options.createdAt?.() ?? new Date(now()).toISOString(),
      template: options.template ?? false,
    }
    const record = await commitFirst(repository, fork, signal)
    if (now() - seenAt > COMMIT_WINDOW_MS) await confirmLateCommit(repository, record)
    return record
  }
  throw packsGone()
}

/** Under the first number that nothing has: retention may keep some taken of a workspace that was deleted meanwhile. */
async function commitFirst(
  repository: Repository,
  fork: VersionRecord,
  signal: AbortSignal | undefined,
): Promise<VersionRecord> {
  for (let { version } = fork; ; version += 1) {
    const record = { ...fork, version }
    if (await commitVersion(repository, record, signal)) return record
    if ((await readNumber(repository, fork.workspaceId, version, signal)) !== 'removed')
      throw alreadyExists(fork.workspaceId)
  }
}

function notFound(workspaceId: string, version: number | undefined): WorkspaceError {
  const which = version === undefined ? 'no saved version' : `no version ${version}`
  return new WorkspaceError(
    'NOT_FOUND',
    `The workspace ${workspaceId} has ${which} to fork from. Save it first, or choose another version.`,
    { details: { workspaceId, ...(version === undefined ? {} : { version }) } },
  )
}

function alreadyExists(id: string): WorkspaceError {
  return new WorkspaceError(
    'ALREADY_EXISTS',
    `There is a workspace ${id} already. Choose another id for the fork.`,
    {
      details: { id },
    },
  )
}
