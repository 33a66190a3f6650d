import { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from '../store/object-store.ts'
import { refuseStoreOverlap, storeDirectory } from '../store/store-directory.ts'
import {
  createContext,
  describeVersion,
  noteVersion,
  type BundleStoreContext,
  type BundleStoreOptions,
} from './bundle-store-context.ts'
import type { BundleDownload, BundleStore, SaveReport } from './bundle-store.ts'
import { archiveVersion } from './engine/archive-version.ts'
import { diffVersions } from './engine/diff-versions.ts'
import { forkVersion } from './engine/fork-version.ts'
import { findLatestVersion, findVersion, readHistory } from './engine/list-versions.ts'
import { loadDirectory } from './engine/load-directory.ts'
import { prune, type PruneOptions, type PruneResult } from './engine/prune.ts'
import { readVersionFile } from './engine/read-file.ts'
import { removeWorkspace } from './engine/remove-versions.ts'
import { saveDirectory } from './engine/save-directory.ts'
import type { SavedVersion } from './engine/save-version.ts'
import { scanWorkspaceIds } from './engine/scan-workspaces.ts'
import { assertTag, listTagChanges, removeTag, setTag } from './engine/tags.ts'
import { measureUsage } from './engine/usage.ts'
import { verifyVersion } from './engine/verify-version.ts'
import { extractBundle } from './extract-bundle.ts'
import { withStagingDirectory } from './staging-directory.ts'
import { assertWorkspaceId } from './workspace-id.ts'

/**
 * Keeps versions of directories in any object store. See {@link BundleStore} for what it guarantees, and
 * docs/design/bundle-format.md for what is stored.
 *
 * The store is first looked at by the first call; nothing is written before the first save, upload or fork.
 * Calls reject with `INVALID_INPUT` for an id that is not one, before anything is sent; with `ACCESS_DENIED` when the
 * key or passphrase is not the one that the store was first used with, and `UNSUPPORTED` for a newer format.
 */
export function createBundleStore(store: ObjectStore, options: BundleStoreOptions = {}): BundleStore {
  const context = createContext(store, options)
  const directory = storeDirectory(store)
  return {
    ...(directory !== null && { directory }),
    ...archiveMethods(context),
    ...contentMethods(context, store),
    ...versionMethods(context),
    ...repositoryMethods(context),
  }
}

function archiveMethods(context: BundleStoreContext): Pick<BundleStore, 'upload' | 'download'> {
  const { commit, findRecord, describeWithTags } = context
  return {
    async upload(id, bundle, given = {}) {
      assertWorkspaceId(id)
      const { limits, signal } = given
      return withStagingDirectory(async (directory) => {
        await extractBundle(bundle, directory, { limits, secondReader: true, signal })
        const { record } = await commit(id, { ...given, cacheDirectory: null }, (parent, repository) =>
          saveDirectory(repository, { workspaceId: id, directory, parent, cacheDirectory: null, signal }),
        )
        return describeVersion(record)
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
  }
}

function contentMethods(
  context: BundleStoreContext,
  store: ObjectStore,
): Pick<BundleStore, 'save' | 'load' | 'readFile' | 'verify' | 'diff'> {
  const { commit, findRecord, describeWithTags } = context
  return {
    async save(id, directory, given) {
      assertWorkspaceId(id)
      refuseStoreOverlap(directory, store)
      const { exclude, cacheDirectory = null, onProgress } = given
      const saved = await commit(id, given, (parent, repository, signal) =>
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
      return { version: describeVersion(saved.record), report: reportOf(saved) }
    },

    async load(id, directory, given = {}) {
      const { version, cacheDirectory = null, signal } = given
      refuseStoreOverlap(directory, store)
      const found = await findRecord(id, version, signal)
      if (found === null) return null
      const { repository, record } = found
      const describing = describeWithTags(repository, record, signal)
      describing.catch(() => undefined)
      const report = await loadDirectory(repository, record, directory, { ...given, cacheDirectory })
      if (cacheDirectory !== null && version === undefined) noteVersion(cacheDirectory, repository, record)
      const files = report.written.files + report.kept.files
      return { version: await describing, report: { ...report, files } }
    },

    async readFile(id, path, given = {}) {
      const found = await findRecord(id, given.version, given.signal)
      return found === null ? null : readVersionFile(found.repository, found.record, path, given)
    },

    async verify(id, given = {}) {
      const found = await findRecord(id, given.version, given.signal)
      return found === null ? null : verifyVersion(found.repository, found.record, given)
    },

    async *diff(id, from, to, { signal } = {}) {
      const before = await findRecord(id, from, signal)
      const after = await findRecord(id, to, signal)
      if (before === null) throw noVersion(id, from)
      if (after === null) throw noVersion(id, to)
      yield* diffVersions(before.repository, before.record, after.record, signal)
    },
  }
}

function versionMethods(
  context: BundleStoreContext,
): Pick<BundleStore, 'exists' | 'version' | 'history' | 'fork' | 'tag' | 'untag'> {
  const { find, findRecord, describeWithTags, stamp } = context
  return {
    async exists(id, { signal } = {}) {
      assertWorkspaceId(id)
      const repository = await find(signal)
      return repository !== null && (await findLatestVersion(repository, id, signal)) !== null
    },

    async version(id, { version, signal } = {}) {
      const found = await findRecord(id, version, signal)
      return found === null ? null : describeWithTags(found.repository, found.record, signal)
    },

    async *history(id, { signal } = {}) {
      assertWorkspaceId(id)
      const repository = await find(signal)
      if (repository === null) return
      const changes = await listTagChanges(repository, id, { signal })
      for await (const record of readHistory(repository, id, signal))
        yield describeVersion(record, changes.get(record.version))
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
      return describeVersion(record)
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
  }
}

function repositoryMethods(
  context: BundleStoreContext,
): Pick<BundleStore, 'list' | 'delete' | 'prune' | 'usage'> {
  const { find, describeWithTags } = context
  return {
    async *list({ prefix: within = '', signal } = {}) {
      if (within !== '') assertWorkspaceId(within)
      const repository = await find(signal)
      if (repository === null) return
      for (const workspaceId of await scanWorkspaceIds(repository, within, signal)) {
        const record = await findVersion(repository, workspaceId, undefined, signal)
        if (record !== null) yield { workspaceId, latest: await describeWithTags(repository, record, signal) }
      }
    },

    async delete(id, { signal } = {}) {
      assertWorkspaceId(id)
      const repository = await find(signal)
      if (repository !== null) await removeWorkspace(repository, id, signal)
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
