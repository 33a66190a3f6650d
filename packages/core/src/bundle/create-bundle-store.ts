import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions } from '../known-options.ts'
import { assertStore } from '../store/assert-store.ts'
import type { ObjectStore } from '../store/object-store.ts'
import { refuseStoreOverlap, storeDirectory } from '../store/store-directory.ts'
import {
  createContext,
  describeVersion,
  noteVersion,
  type BundleStoreContext,
  type BundleStoreOptions,
} from './bundle-store-context.ts'
import { loadLimitNames } from './archive/archive-option-names.ts'
import { archiveMethods } from './archive-methods.ts'
import type { BundleStore, SaveReport } from './bundle-store.ts'
import { diffVersions } from './engine/read/diff-versions.ts'
import { forkVersion } from './engine/save/fork-version.ts'
import {
  assertVersionNumber,
  findLatestVersion,
  findVersion,
  readHistory,
} from './engine/repository/list-versions.ts'
import { loadDirectory } from './engine/load/load-directory.ts'
import { prune, type PruneOptions, type PruneResult } from './engine/maintain/prune.ts'
import { readVersionFile } from './engine/read/read-file.ts'
import { removeWorkspace } from './engine/maintain/remove-versions.ts'
import { assertPolicy } from './engine/maintain/retention-policy.ts'
import { saveDirectory } from './engine/save/save-directory.ts'
import type { SavedVersion } from './engine/save/save-version.ts'
import { scanWorkspaceIds } from './engine/repository/scan-workspaces.ts'
import { assertTag, listTagChanges, removeTag, setTag } from './engine/repository/tags.ts'
import { measureUsage } from './engine/maintain/usage.ts'
import { verifyVersion } from './engine/maintain/verify-version.ts'
import {
  bundleStoreOptionNames,
  forkOptionNames,
  listOptionNames,
  loadOptionNames,
  pruneOptionNames,
  rangeNames,
  readFileOptionNames,
  repairOptionNames,
  saveOptionNames,
  verifyOptionNames,
  versionOptionNames,
  waitOptionNames,
} from './option-names.ts'
import { refuseCacheInside, resolveDirectory } from './named-directories.ts'
import { noVersion } from './no-version.ts'
import { versionTexts } from './version-texts.ts'
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
  assertStore('createBundleStore', store)
  assertKnownOptions('createBundleStore', options, bundleStoreOptionNames)
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

function contentMethods(
  context: BundleStoreContext,
  store: ObjectStore,
): Pick<BundleStore, 'save' | 'load' | 'readFile' | 'verify' | 'diff'> {
  const { commit, findRecord, describeWithTags } = context
  return {
    async save(id, named, given) {
      assertWorkspaceId(id)
      const directory = resolveDirectory('save', named)
      assertKnownOptions('save', given, saveOptionNames)
      assertMessage(given.message)
      refuseStoreOverlap(directory, store)
      const { exclude, cacheDirectory = null, onProgress } = given
      refuseCacheInside(directory, cacheDirectory)
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

    async load(id, named, given = {}) {
      const directory = resolveDirectory('load', named)
      assertKnownOptions('load', given, loadOptionNames)
      assertKnownOptions('limits', given.limits ?? {}, loadLimitNames)
      const { version, cacheDirectory = null, signal } = given
      refuseStoreOverlap(directory, store)
      refuseCacheInside(directory, cacheDirectory)
      const found = await findRecord(id, version, signal)
      if (found === null) return null
      const { repository, record } = found
      const describing = describeWithTags(repository, record, signal)
      describing.catch(() => undefined)
      const options = { ...given, cacheDirectory }
      const report = await loadDirectory(repository, record, directory, options, describing)
      if (cacheDirectory !== null && version === undefined) noteVersion(cacheDirectory, repository, record)
      const files = report.written.files + report.kept.files
      return { version: await describing, report: { ...report, files } }
    },

    async readFile(id, path, given = {}) {
      assertKnownOptions('readFile', given, readFileOptionNames)
      assertKnownOptions('range', given.range ?? {}, rangeNames)
      const found = await findRecord(id, given.version, given.signal)
      return found === null ? null : readVersionFile(found.repository, found.record, path, given)
    },

    async verify(id, given = {}) {
      assertKnownOptions('verify', given, verifyOptionNames)
      assertKnownOptions('repair', given.repair ?? {}, repairOptionNames)
      assertKnownOptions('limits', given.limits ?? {}, loadLimitNames)
      const found = await findRecord(id, given.version, given.signal)
      return found === null ? null : verifyVersion(found.repository, found.record, given)
    },

    async *diff(id, from, to, given = {}) {
      assertKnownOptions('diff', given, waitOptionNames)
      for (const version of [from, to]) assertVersionNumber(version)
      const { signal } = given
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
  const { find, listInCurrent, findRecord, describeWithTags, stamp } = context
  return {
    async exists(id, given = {}) {
      assertWorkspaceId(id)
      assertKnownOptions('exists', given, waitOptionNames)
      const repository = await find(given.signal)
      return repository !== null && (await findLatestVersion(repository, id, given.signal)) !== null
    },

    async version(id, given = {}) {
      assertKnownOptions('version', given, versionOptionNames)
      const { version, signal } = given
      const found = await findRecord(id, version, signal)
      return found === null ? null : describeWithTags(found.repository, found.record, signal)
    },

    async *history(id, given = {}) {
      assertWorkspaceId(id)
      assertKnownOptions('history', given, waitOptionNames)
      const { signal } = given
      yield* listInCurrent(signal, async function* () {
        const repository = await find(signal)
        if (repository === null) return
        const changes = await listTagChanges(repository, id, { signal })
        for await (const record of readHistory(repository, id, signal))
          yield describeVersion(record, changes.get(record.version))
      })
    },

    async fork(id, newId, given = {}) {
      assertWorkspaceId(newId)
      assertKnownOptions('fork', given, forkOptionNames)
      const { version, message, template, signal } = given
      const { author, metadata } = versionTexts(given)
      const found = await findRecord(id, version, signal)
      if (found === null) throw noVersion(id, version)
      const record = await forkVersion(found.repository, {
        workspaceId: id,
        version,
        newId,
        message: message?.toWellFormed() ?? `Fork of ${id} version ${found.record.version}`,
        author,
        metadata,
        template,
        createdAt: stamp,
        signal,
      })
      return describeVersion(record)
    },

    async tag(id, version, tag, given = {}) {
      assertKnownOptions('tag', given, waitOptionNames)
      const { signal } = given
      const found = await findRecord(id, version, signal)
      if (found === null) throw noVersion(id, version)
      await setTag(found.repository, id, version, tag, signal)
    },

    async untag(id, version, tag, given = {}) {
      assertTag(tag)
      assertKnownOptions('untag', given, waitOptionNames)
      const { signal } = given
      const found = await findRecord(id, version, signal)
      if (found !== null) await removeTag(found.repository, id, version, tag, signal)
    },
  }
}

function repositoryMethods(
  context: BundleStoreContext,
): Pick<BundleStore, 'list' | 'delete' | 'prune' | 'usage'> {
  const { find, inCurrent, listInCurrent, describeWithTags } = context
  return {
    async *list(given = {}) {
      assertKnownOptions('list', given, listOptionNames)
      const { prefix: within = '', signal } = given
      if (within !== '') assertWorkspaceId(within)
      yield* listInCurrent(signal, async function* () {
        const repository = await find(signal)
        if (repository === null) return
        for (const workspaceId of await scanWorkspaceIds(repository, within, signal)) {
          const record = await findVersion(repository, workspaceId, undefined, signal)
          if (record !== null)
            yield { workspaceId, latest: await describeWithTags(repository, record, signal) }
        }
      })
    },

    async delete(id, given = {}) {
      assertWorkspaceId(id)
      assertKnownOptions('delete', given, waitOptionNames)
      const repository = await find(given.signal)
      if (repository !== null) await removeWorkspace(repository, id, given.signal)
    },

    async prune(policy, given = {}) {
      assertKnownOptions('prune', given, pruneOptionNames)
      if (policy !== null) assertPolicy(policy)
      if (given.workspaceId !== undefined) assertWorkspaceId(given.workspaceId)
      return inCurrent(given.signal, async () => {
        const repository = await find(given.signal)
        return repository === null ? nothingPruned(given) : prune(repository, policy, given)
      })
    },

    async usage(given = {}) {
      assertKnownOptions('usage', given, waitOptionNames)
      const { signal } = given
      return inCurrent(signal, async () => {
        const repository = await find(signal)
        if (repository === null) return { totalBytes: 0, unreferencedBytes: 0, workspaces: [] }
        return measureUsage(repository, signal)
      })
    },
  }
}

/** @throws `INVALID_INPUT` */
function assertMessage(message: unknown): void {
  if (typeof message === 'string') return
  throw new WorkspaceError(
    'INVALID_INPUT',
    "A version needs a message that says what it holds, such as save('after the first run').",
    { details: { option: 'message' } },
  )
}

function reportOf({ record, tree, base }: SavedVersion): SaveReport {
  const { root: _root, packs: _packs, newPacks: _newPacks, stats, ...report } = tree
  return { ...report, ...stats, comparedWith: base?.workspaceId === record.workspaceId ? base.version : null }
}

function nothingPruned({ dryRun = false }: PruneOptions): PruneResult {
  const none = { packs: 0, bytes: 0 }
  return {
    dryRun,
    removed: [],
    lockedVersions: [],
    keptVersions: 0,
    condemned: none,
    deleted: none,
    waiting: none,
    locked: none,
  }
}
