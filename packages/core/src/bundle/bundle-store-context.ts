import type { ObjectStore } from '../store/object-store.ts'
import { reliableIfRemote, type ReliableStoreOptions } from '../store/reliable-store.ts'
import type { VersionDetails, WorkspaceVersion } from './bundle-store.ts'
import { assertVersionNumber, findVersion } from './engine/list-versions.ts'
import {
  findRepository,
  openRepository,
  type Repository,
  type RepositoryEncryption,
} from './engine/repository.ts'
import { saveVersion, type SavedVersion, type SaveVersionOptions } from './engine/save-version.ts'
import { assertTag, effectiveTags, listTagChanges, type TagChanges } from './engine/tags.ts'
import type { VersionRecord } from './format/version-record.ts'
import { assertWorkspaceId } from './workspace-id.ts'

export interface BundleStoreOptions {
  /** Where in the store the versions are kept: one or more key segments. @default the top of the store */
  readonly prefix?: string | undefined
  /** Encrypts everything that is stored; names, contents and sizes of files cannot be read from the store. @default none */
  readonly encryption?: RepositoryEncryption | undefined
  /**
   * Repetitions, timeouts and the limit of calls for a store that is `remote`; `false` leaves all that to the caller.
   * @default those of `reliableStore`
   */
  readonly reliability?: ReliableStoreOptions | false | undefined
  /** Gives the time that versions are stamped with. @default the system's clock */
  readonly clock?: (() => Date) | undefined
}

/** What the methods of a bundle store work with. */
export interface BundleStoreContext {
  /** `null` for a store that nothing was saved to; writes nothing. */
  readonly find: (signal: AbortSignal | undefined) => Promise<Repository | null>
  /** `null` when there is no such version. @throws `INVALID_INPUT` */
  readonly findRecord: (
    id: string,
    version: number | undefined,
    signal: AbortSignal | undefined,
  ) => Promise<{ readonly repository: Repository; readonly record: VersionRecord } | null>
  /** Makes the repository when there is none, and the content a version of it. */
  readonly commit: (
    id: string,
    details: VersionDetails,
    writeTree: SaveVersionOptions['writeTree'],
  ) => Promise<SavedVersion>
  readonly describeWithTags: (
    repository: Repository,
    record: VersionRecord,
    signal: AbortSignal | undefined,
  ) => Promise<WorkspaceVersion>
  /** The time for a new version. */
  readonly stamp: () => string
}

export function createContext(given: ObjectStore, options: BundleStoreOptions): BundleStoreContext {
  const store = reliableIfRemote(given, options.reliability)
  const { prefix, encryption, clock = () => new Date() } = options
  const stamp = (): string => clock().toISOString()
  let opened: Repository | null = null
  const open = async (signal: AbortSignal | undefined): Promise<Repository> => {
    opened ??= await openRepository(store, { prefix, encryption, signal })
    return opened
  }
  /** `null` for a store that nothing was saved to. */
  const find = async (signal: AbortSignal | undefined): Promise<Repository | null> => {
    opened ??= await findRepository(store, { prefix, encryption, signal })
    return opened
  }
  const commit = async (
    id: string,
    details: VersionDetails,
    writeTree: SaveVersionOptions['writeTree'],
  ): Promise<SavedVersion> => {
    const {
      message = '',
      author = null,
      metadata = {},
      tags = [],
      parent,
      onConflict,
      template,
      signal,
    } = details
    for (const tag of tags) assertTag(tag)
    const repository = await open(signal)
    return saveVersion(repository, {
      workspaceId: id,
      message,
      author,
      metadata,
      tags,
      parent,
      onConflict,
      template,
      createdAt: stamp,
      writeTree,
      signal,
    })
  }
  const findRecord = async (
    id: string,
    version: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly repository: Repository; readonly record: VersionRecord } | null> => {
    assertWorkspaceId(id)
    if (version !== undefined) assertVersionNumber(version)
    const repository = await find(signal)
    if (repository === null) return null
    const record = await findVersion(repository, id, version, signal)
    return record === null ? null : { repository, record }
  }
  const describeWithTags = async (
    repository: Repository,
    record: VersionRecord,
    signal: AbortSignal | undefined,
  ): Promise<WorkspaceVersion> => {
    const { workspaceId, version } = record
    const changes = await listTagChanges(repository, workspaceId, { version, signal })
    return describeVersion(record, changes.get(version))
  }
  return { find, findRecord, commit, describeWithTags, stamp }
}

export function describeVersion(record: VersionRecord, changes?: TagChanges): WorkspaceVersion {
  const { workspaceId, version, parent, message, author, metadata, template, createdAt, stats } = record
  const isFork = parent !== null && parent.workspaceId !== workspaceId
  return {
    workspaceId,
    version,
    parent: parent === null || isFork ? null : parent.version,
    forkedFrom: isFork ? parent : null,
    message,
    author,
    metadata,
    tags: effectiveTags(record, changes),
    template,
    createdAt,
    ...stats,
    entries: stats.files + stats.directories + stats.symlinks,
    storedBytes: record.packs.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}
