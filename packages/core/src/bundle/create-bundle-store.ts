import { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from '../store/object-store.ts'
import type {
  BundleDownload,
  BundleStore,
  SaveReport,
  VersionDetails,
  WorkspaceVersion,
} from './bundle-store.ts'
import { archiveVersion } from './engine/archive-version.ts'
import { diffVersions } from './engine/diff-versions.ts'
import { forkVersion } from './engine/fork-version.ts'
import { assertVersionNumber, findLatestVersion, findVersion, readHistory } from './engine/list-versions.ts'
import { loadDirectory } from './engine/load-directory.ts'
import { prune, type PruneOptions, type PruneResult } from './engine/prune.ts'
import { readVersionFile } from './engine/read-file.ts'
import { removeWorkspace } from './engine/remove-versions.ts'
import {
  findRepository,
  openRepository,
  type Repository,
  type RepositoryEncryption,
} from './engine/repository.ts'
import { saveDirectory } from './engine/save-directory.ts'
import { saveVersion, type SavedVersion, type SaveVersionOptions } from './engine/save-version.ts'
import { scanWorkspaceIds } from './engine/scan-workspaces.ts'
import {
  assertTag,
  effectiveTags,
  listTagChanges,
  removeTag,
  setTag,
  type TagChanges,
} from './engine/tags.ts'
import { measureUsage } from './engine/usage.ts'
import { verifyVersion } from './engine/verify-version.ts'
import { extractBundle } from './extract-bundle.ts'
import type { VersionRecord } from './format/version-record.ts'
import { withStagingDirectory } from './staging-directory.ts'
import { assertWorkspaceId } from './workspace-id.ts'

export interface BundleStoreOptions {
  /** Where in the store the versions are kept: one or more key segments. @default the top of the store */
  readonly prefix?: string | undefined
  /** Encrypts everything that is stored; names, contents and sizes of files cannot be read from the store. @default none */
  readonly encryption?: RepositoryEncryption | undefined
  /** Gives the time that versions are stamped with. @default the system's clock */
  readonly clock?: (() => Date) | undefined
}

/**
 * Keeps versions of directories in any object store. See {@link BundleStore} for what it guarantees, and
 * docs/design/bundle-format.md for what is stored.
 *
 * The store is first looked at by the first call; nothing is written before the first save, upload or fork.
 * Calls reject with `INVALID_INPUT` for an id that is not one, before anything is sent; with `ACCESS_DENIED` when the
 * key or passphrase is not the one that the store was first used with, and `UNSUPPORTED` for a newer format.
 */
export function createBundleStore(store: ObjectStore, options: BundleStoreOptions = {}): BundleStore {
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
    return describe(record, changes.get(version))
  }

  return {
    async upload(id, bundle, given = {}) {
      assertWorkspaceId(id)
      const { limits, signal } = given
      return withStagingDirectory(async (directory) => {
        await extractBundle(bundle, directory, { limits, signal })
        const { record } = await commit(id, given, (parent, repository) =>
          saveDirectory(repository, { workspaceId: id, directory, parent, cacheDirectory: null, signal }),
        )
        return describe(record)
      })
    },

    async download(id, { version, format = 'tar.zst', signal } = {}) {
      const found = await findRecord(id, version, signal)
      if (found === null) return null
      const { repository, record } = found
      const chunks = archiveVersion(repository, record, format, signal)
      const described = await describeWithTags(repository, record, signal)
      return toDownload(chunks, { version: described, format })
    },

    async delete(id, { signal } = {}) {
      assertWorkspaceId(id)
      const repository = await find(signal)
      if (repository !== null) await removeWorkspace(repository, id, signal)
    },

    async exists(id, { signal } = {}) {
      assertWorkspaceId(id)
      const repository = await find(signal)
      return repository !== null && (await findLatestVersion(repository, id, signal)) !== null
    },

    async *list({ prefix: within = '', signal } = {}) {
      if (within !== '') assertWorkspaceId(within)
      const repository = await find(signal)
      if (repository === null) return
      for (const workspaceId of await scanWorkspaceIds(repository, within, signal)) {
        const record = await findVersion(repository, workspaceId, undefined, signal)
        if (record !== null) yield { workspaceId, latest: await describeWithTags(repository, record, signal) }
      }
    },

    async save(id, directory, given) {
      assertWorkspaceId(id)
      const { exclude, cacheDirectory = null, onProgress, signal } = given
      const saved = await commit(id, given, (parent, repository) =>
        saveDirectory(repository, {
          workspaceId: id,
          directory,
          parent,
          exclude,
          cacheDirectory,
          onProgress,
          signal,
        }),
      )
      return { version: describe(saved.record), report: reportOf(saved) }
    },

    async load(id, directory, given = {}) {
      const { version, cacheDirectory = null, signal } = given
      const found = await findRecord(id, version, signal)
      if (found === null) return null
      const { repository, record } = found
      const report = await loadDirectory(repository, record, directory, { ...given, cacheDirectory })
      return {
        version: await describeWithTags(repository, record, signal),
        report: { ...report, files: report.written.files + report.kept.files },
      }
    },

    async readFile(id, path, given = {}) {
      const found = await findRecord(id, given.version, given.signal)
      return found === null ? null : readVersionFile(found.repository, found.record, path, given)
    },

    async verify(id, given = {}) {
      const found = await findRecord(id, given.version, given.signal)
      return found === null ? null : verifyVersion(found.repository, found.record, given)
    },

    async *history(id, { signal } = {}) {
      assertWorkspaceId(id)
      const repository = await find(signal)
      if (repository === null) return
      const changes = await listTagChanges(repository, id, { signal })
      for await (const record of readHistory(repository, id, signal))
        yield describe(record, changes.get(record.version))
    },

    async version(id, { version, signal } = {}) {
      const found = await findRecord(id, version, signal)
      return found === null ? null : describeWithTags(found.repository, found.record, signal)
    },

    async *diff(id, from, to, { signal } = {}) {
      const before = await findRecord(id, from, signal)
      const after = await findRecord(id, to, signal)
      if (before === null) throw noVersion(id, from)
      if (after === null) throw noVersion(id, to)
      yield* diffVersions(before.repository, before.record, after.record, signal)
    },

    async fork(id, newId, given = {}) {
      assertWorkspaceId(newId)
      const { version, message, author = null, metadata = {}, template, signal } = given
      const found = await findRecord(id, version, signal)
      if (found === null) throw noVersion(id, version)
      const record = await forkVersion(found.repository, {
        workspaceId: id,
        version,
        newId,
        message: message ?? `Fork of ${id} version ${found.record.version}`,
        author,
        metadata,
        template,
        createdAt: stamp,
        signal,
      })
      return describe(record)
    },

    async tag(id, version, tag, { signal } = {}) {
      const found = await findRecord(id, version, signal)
      if (found === null) throw noVersion(id, version)
      await setTag(found.repository, id, version, tag, signal)
    },

    async untag(id, version, tag, { signal } = {}) {
      assertTag(tag)
      const found = await findRecord(id, version, signal)
      if (found !== null) await removeTag(found.repository, id, version, tag, signal)
    },

    async prune(policy, given = {}) {
      if (given.workspaceId !== undefined) assertWorkspaceId(given.workspaceId)
      const repository = await find(given.signal)
      return repository === null ? nothingPruned(given) : prune(repository, policy, given)
    },

    async usage({ signal } = {}) {
      const repository = await find(signal)
      if (repository === null) return { totalBytes: 0, unreferencedBytes: 0, workspaces: [] }
      return measureUsage(repository, signal)
    },
  }
}

function describe(record: VersionRecord, changes?: TagChanges): WorkspaceVersion {
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

function reportOf({ record, tree, base }: SavedVersion): SaveReport {
  const { root: _root, packs: _packs, newPacks: _newPacks, stats, ...report } = tree
  return { ...report, ...stats, comparedWith: base?.workspaceId === record.workspaceId ? base.version : null }
}

function toDownload(
  chunks: AsyncGenerator<Uint8Array, void, void>,
  facts: Pick<BundleDownload, 'version' | 'format'>,
): BundleDownload {
  return {
    ...facts,
    [Symbol.asyncIterator]: () => chunks,
    async discard() {
      await chunks.return().catch(() => undefined)
    },
  }
}

function nothingPruned({ dryRun = false }: PruneOptions): PruneResult {
  const none = { packs: 0, bytes: 0 }
  return { dryRun, removed: [], keptVersions: 0, condemned: none, deleted: none, waiting: none }
}

function noVersion(workspaceId: string, version: number | undefined): WorkspaceError {
  const which = version === undefined ? 'no saved version' : `no version ${version}`
  return new WorkspaceError('NOT_FOUND', `The workspace ${workspaceId} has ${which}. Look at its history.`, {
    details: { workspaceId, ...(version === undefined ? {} : { version }) },
  })
}
