import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import { noVersion } from '../bundle/no-version.ts'
import { assertWorkspaceId } from '../bundle/workspace-id.ts'
import { loadOptionNames, saveOptionNames, verifyOptionNames } from '../bundle/option-names.ts'
import type {
  BundleStore,
  LoadOptions,
  ReadFileOptions,
  SaveOptions,
  VerifyOptions,
  WaitOptions,
  WorkspaceLoadResult,
  WorkspaceSaveResult,
  WorkspaceVersion,
} from '../bundle/bundle-store.ts'
import type { VersionChange } from '../bundle/engine/read/diff-versions.ts'
import type { PruneOptions, PruneResult } from '../bundle/engine/maintain/prune.ts'
import type { VersionFile } from '../bundle/engine/read/read-file.ts'
import type { RetentionPolicy } from '../bundle/engine/maintain/retention-policy.ts'
import type { WorkspaceUsage } from '../bundle/engine/maintain/usage.ts'
import type { VerifiedVersion } from '../bundle/engine/maintain/verify-version.ts'
import { anotherPlace } from '../filesystem/directory-handle.ts'
import { prepareStateDirectory } from '../filesystem/state-directory.ts'
import { recoverDirectory } from '../filesystem/work-directory.ts'
import { resolveWorkspaceRoot } from '../filesystem/workspace-root.ts'
import { assertKnownOptions } from '../known-options.ts'
import { collectionsDone, readLastCollection } from '../snapshot/collect-later.ts'
import { collectState, measureState, type WorkspaceState } from '../snapshot/collect-state.ts'
import type { SnapshotCollection } from '../snapshot/state-usage.ts'
import type { CaptureLimits } from '../snapshot/capture-policy.ts'
import { attachPatch, computeDiff } from '../snapshot/compute-diff.ts'
import type { Snapshot, WorkspaceDiff } from '../snapshot/snapshot.ts'
import { assertRollbackOptions } from '../snapshot/rollback/assert-rollback-options.ts'
import { rollbackOptionNames } from '../snapshot/rollback/rollback-option-names.ts'
import type { RollbackOptions, RollbackResult, SnapshotBackend } from '../snapshot/snapshot-backend.ts'
import { refuseStoreOverlap } from '../store/store-directory.ts'
import { assertSnapshot } from './assert-snapshot.ts'
import { assertWorkspaceOptions } from './assert-workspace-options.ts'
import { bundleStoreOf } from './bundle-store-of.ts'
import { findState, prepareCacheDirectory } from './find-state.ts'
import { inRemadeDirectory } from './in-remade-directory.ts'
import { makeWorkspaceId } from './make-workspace-id.ts'
import { noStore } from './no-store.ts'
import { refuseReplacing } from './refuse-replacing.ts'
import { openSettledBackend, settleFor } from './settle-directory.ts'
import {
  collectOptionNames,
  type BackendOptions,
  diffOptionNames,
  forkOptionNames,
  snapshotOptionNames,
  type CollectOptions,
  type ForkOptions,
  type SnapshotUsage,
  type WorkspaceDiffOptions,
  type WorkspaceOptions,
  type WorkspaceSnapshotOptions,
} from './workspace-options.ts'

/**
 * A directory with an id: it can be seen (`snapshot`, `diff`), undone (`rollback`) and kept (`save`, `load`).
 *
 * A Workspace holds no lock and no open file. Everything that concerns the directory is found by its real path, so two
 * Workspace objects for one directory, also in two processes, work on the same state. A Workspace stays with the directory
 * that its path led to at first: a link that is put in its place later is refused (`UNSAFE_PATH`).
 */
export class Workspace {
  readonly id: string
  /** Absolute. */
  readonly path: string
  readonly stateDir: string | undefined
  readonly maxSnapshotBytes: number | undefined
  readonly limits: CaptureLimits | undefined
  readonly precious: readonly string[] | undefined
  readonly exclude: readonly string[]
  readonly #store: BundleStore | undefined
  /** The real path, from the first call that needed it. */
  #root: string | null = null

  /** @throws `INVALID_INPUT` for an illegal id or an empty path */
  constructor(options: WorkspaceOptions) {
    assertWorkspaceOptions(options)
    this.limits = options.limits
    this.precious = options.precious
    this.maxSnapshotBytes = options.maxSnapshotBytes
    this.id = options.id
    this.path = resolve(options.path)
    this.stateDir = options.stateDir
    this.exclude = options.exclude ?? []
    this.#store = bundleStoreOf(options.store)
  }

  /** What a run was given: a workspace as it is, or one for a path. @throws `INVALID_INPUT` for anything else */
  static of(workspace: Workspace | string): Workspace {
    if (typeof workspace === 'string') return this.at(workspace)
    if (typeof workspace === 'object' && workspace !== null && 'openBackend' in workspace) return workspace
    throw new WorkspaceError(
      'INVALID_INPUT',
      'A run needs a workspace: the path of a directory, or new Workspace({ id, path }).',
    )
  }

  /** Whether it has a store to save to and to load from. */
  get hasStore(): boolean {
    return this.#store !== undefined
  }

  /** A workspace for a directory that has no id yet: the id is made from its name and path. */
  static at(path: string): Workspace {
    return make({ id: makeWorkspaceId(path), path })
  }

  /**
   * Puts a saved version into the directory, which is made if need be: exactly that version, or with `mode: 'merge'` on top
   * of what is there. A rollback that was killed is ended first. `null`, and no more is done, when nothing has been saved.
   * @throws `NOT_FOUND` when a version is named and does not exist
   */
  async load(options: LoadOptions = {}): Promise<WorkspaceLoadResult | null> {
    const store = this.#requireStore('load')
    assertKnownOptions('load', options, loadOptionNames)
    if (existsSync(this.path)) await this.#resolveRoot()
    const loaded = await store.load(this.id, this.path, await settleFor(this, options))
    if (loaded !== null || options.version === undefined) return loaded
    throw noVersion(this.id, options.version)
  }

  /**
   * Stores the directory as the next version. Nothing is ever overwritten. A rollback that was killed is ended first.
   * @throws `CONFLICT` when somebody else saved meanwhile (or `parent` is not the latest); nothing is stored then
   */
  async save(message: string, options: Omit<SaveOptions, 'message'> = {}): Promise<WorkspaceSaveResult> {
    const store = this.#requireStore('save')
    assertKnownOptions('save', options, saveOptionNames)
    assertKnownOptions('save', { message }, saveOptionNames)
    const root = await this.#resolveRoot()
    return store.save(this.id, root, { ...(await settleFor(this, options)), message })
  }

  /** Saved versions, newest first. */
  history(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncIterable<WorkspaceVersion> {
    return this.#requireStore('list its versions').history(this.id, options)
  }

  /**
   * Makes a new workspace that starts from a saved version of this one. The two go on independently.
   * @throws `NOT_FOUND` when there is no such version, `ALREADY_EXISTS` when the id is taken, `INVALID_INPUT` for the
   * directory of this one, also by another name, or one that holds it
   */
  async fork(id: string, options: ForkOptions = {}): Promise<Workspace> {
    const store = this.#requireStore('fork')
    assertWorkspaceId(id)
    assertKnownOptions('fork', options, forkOptionNames)
    const { path = join(dirname(this.path), id), version, signal } = options
    const { stateDir, maxSnapshotBytes, limits, precious, exclude } = this
    const fork = make({ id, path, store, stateDir, maxSnapshotBytes, limits, precious, exclude })
    refuseReplacing(this.path, fork)
    await store.fork(this.id, id, { version, signal })
    return fork
  }

  /** One file of a saved version, streamed and checked; `null` when there is none. */
  async readFile(path: string, options: ReadFileOptions = {}): Promise<VersionFile | null> {
    return this.#requireStore('read a file').readFile(this.id, path, options)
  }

  /**
   * Reads back every byte that a saved version needs, and says what is damaged; `null` when there is none. With `repair`,
   * what is lost is looked for in the workspace's directory too.
   */
  async verify(options: VerifyOptions = {}): Promise<VerifiedVersion | null> {
    const store = this.#requireStore('verify')
    assertKnownOptions('verify', options, verifyOptionNames)
    if (options.repair === undefined) return store.verify(this.id, options)
    const { directory = this.path, cacheDirectory = await prepareCacheDirectory(await findState(this)) } =
      options.repair
    return store.verify(this.id, { ...options, repair: { ...options.repair, directory, cacheDirectory } })
  }

  /** What differs from one saved version to another, in path order. @throws `NOT_FOUND` */
  diffVersions(from: number, to: number, options: WaitOptions = {}): AsyncIterable<VersionChange> {
    return this.#requireStore('compare versions').diff(this.id, from, to, options)
  }

  /** Removes saved versions of this workspace by a policy, and what no version of any workspace needs any more. */
  async prune(
    policy: RetentionPolicy | null,
    options: Omit<PruneOptions, 'workspaceId'> = {},
  ): Promise<PruneResult> {
    return this.#requireStore('prune').prune(policy, { ...options, workspaceId: this.id })
  }

  /** What saved versions take in the store, if there is one, and what snapshots take on this machine. */
  async usage(options: WaitOptions = {}): Promise<WorkspaceUsage & { readonly snapshots: SnapshotUsage }> {
    const workspaces = this.#store === undefined ? [] : (await this.#store.usage(options)).workspaces
    const none = { workspaceId: this.id, ownBytes: 0, sharedBytes: 0, versions: [] }
    const saved = workspaces.find(({ workspaceId }) => workspaceId === this.id) ?? none
    const state = await this.#state()
    const backends = await measureState(state, options)
    return { ...saved, snapshots: { backends, lastCollection: readLastCollection(state.stateDirectory) } }
  }

  /**
   * Brings what snapshots take on this machine within `maxSnapshotBytes`, and removes what no snapshot needs. It also
   * runs by itself, in the background, after some snapshots; nothing has to call it. Snapshots and rollbacks may go on
   * meanwhile, in any process. A snapshot that was removed is `NOT_FOUND` from then on.
   * @throws `BUSY` when another process does it now, `UNAVAILABLE` when what is stored cannot be read; nothing is removed then
   */
  async collect(options: CollectOptions = {}): Promise<SnapshotCollection[]> {
    assertKnownOptions('collect', options, collectOptionNames)
    const state = await this.#state()
    await collectionsDone(state.stateDirectory)
    return collectState(state, options)
  }

  /**
   * Captures the directory as it is now, with what is not committed, staged or tracked. Writes nothing in it and nothing in
   * its `.git`. What the snapshot left out stands in its `coverage`. In a git repository it can be rolled back to; elsewhere
   * only with `strategy: 'bundle'`, because the hashes that `auto` takes there hold no content.
   * @throws `INVALID_INPUT` for a bare repository, a home directory and the like, `BUSY` when another process captures the
   * same directory for five minutes, `QUOTA_EXCEEDED` when the disk of the state directory is full; no snapshot exists then
   */
  async snapshot(options: WorkspaceSnapshotOptions = {}): Promise<Snapshot> {
    assertKnownOptions('snapshot', options, snapshotOptionNames)
    const { label = 'snapshot', strategy, ignore, previous, onProgress, signal } = options
    if (previous !== undefined) assertSnapshot(previous)
    const backend = await this.openBackend({ strategy, ignore, snapshot: previous })
    return backend.capture({ label, previous, onProgress, signal })
  }

  /**
   * What changed from one snapshot to another, or to now, which takes one more snapshot. Both must be by one backend.
   * @throws `INVALID_INPUT` for snapshots of another directory or of two backends, `NOT_FOUND` when the content of one has
   * made room for newer ones
   */
  async diff(from: Snapshot, to?: Snapshot, options: WorkspaceDiffOptions = {}): Promise<WorkspaceDiff> {
    assertKnownOptions('diff', options, diffOptionNames)
    const { signal, ignore } = options
    assertSnapshot(from)
    if (to !== undefined) assertSnapshot(to)
    const backend = await this.openBackend({ ignore, isForSnapshots: to !== undefined, snapshot: from })
    const end = to ?? (await backend.capture({ label: 'now', previous: from, signal }))
    return attachPatch(await computeDiff(backend, from, end, { signal }), backend, from, end, options)
  }

  /**
   * Puts the directory back to a snapshot. See {@link RollbackOptions}. Rolling back to the result's `guard` undoes it, any
   * number of times. Snapshots by git are rolled back also when the repository has been removed or broken since, and any when
   * the directory has: it is made anew.
   *
   * It writes what differs and removes what a snapshot captured and the target did not have; what no snapshot holds is not
   * touched. Afterwards it captures again and compares. A failure brings the state before it back.
   * @throws `CONFLICT` when somebody edited what it would touch, or something uncaptured is in the way (`details.paths`),
   * `NOT_FOUND` when the snapshot has made room for newer ones, `UNSUPPORTED` for snapshots by hash, `BUSY` when another
   * process works on the same directory for five minutes
   */
  async rollback(to: Snapshot, options: RollbackOptions = {}): Promise<RollbackResult> {
    assertSnapshot(to)
    assertRollbackOptions('rollback', options, rollbackOptionNames)
    const place = { path: this.path, snapshot: to, leavesNoTrace: options.dryRun === true }
    return inRemadeDirectory(place, async () => {
      const backend = await this.openBackend({ isForSnapshots: true, snapshot: to })
      return backend.rollback(to, options)
    })
  }

  /** The snapshot backend that fits this directory; used by `executeRun`. */
  async openBackend({ snapshot, ...options }: BackendOptions): Promise<SnapshotBackend> {
    const path = await this.#resolveRoot()
    // What a killed load has left half done is no state of the workspace.
    await recoverDirectory(path)
    const { limits = this.limits, precious = this.precious } = options
    const { backend: strategy = options.strategy, ref } = snapshot ?? {}
    return openSettledBackend({ ...(await this.#state()), ...options, limits, precious, strategy, ref })
  }

  /** Once it was found it stays the same: a link that an agent has put in its place leads nowhere. */
  async #resolveRoot(): Promise<string> {
    const root = await resolveWorkspaceRoot(this.path)
    this.#root ??= root
    if (root !== this.#root) throw anotherPlace(this.path)
    return root
  }

  async #state(): Promise<WorkspaceState> {
    const path = await this.#resolveRoot()
    if (this.#store !== undefined) refuseStoreOverlap(path, this.#store)
    const stateDirectory = await prepareStateDirectory(path, this.stateDir)
    return { path, stateDirectory, maxSnapshotBytes: this.maxSnapshotBytes }
  }

  #requireStore(verb: string): BundleStore {
    if (this.#store !== undefined) return this.#store
    throw noStore(this.id, verb)
  }
}

/** Not in the class itself: where its body names it, the bundler calls it `_Workspace`, and so does the console. */
const make = (options: WorkspaceOptions): Workspace => new Workspace(options)
