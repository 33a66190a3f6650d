import { dirname, join, resolve } from 'node:path'
import { createHash } from 'node:crypto'
import { WorkspaceError } from '../errors.ts'
import { createBundleStore } from '../bundle/create-bundle-store.ts'
import type {
  BundleStore,
  LoadOptions,
  SaveOptions,
  WorkspaceLoadResult,
  WorkspaceSaveResult,
  WorkspaceVersion,
} from '../bundle/bundle-store.ts'
import { assertWorkspaceId } from '../bundle/workspace-id.ts'
import { prepareStateDirectory } from '../filesystem/state-directory.ts'
import { resolveWorkspaceRoot } from '../filesystem/workspace-root.ts'
import { attachPatch, computeDiff, type PatchOptions } from '../snapshot/compute-diff.ts'
import {
  openSnapshotBackend,
  type IgnoreRules,
  type SnapshotStrategy,
} from '../snapshot/open-snapshot-backend.ts'
import type { Snapshot, WorkspaceDiff } from '../snapshot/snapshot.ts'
import type { RollbackOptions, RollbackResult, SnapshotBackend } from '../snapshot/snapshot-backend.ts'
import type { ObjectStore } from '../store/object-store.ts'

export interface WorkspaceOptions {
  /** What the workspace is called in a store; see `assertWorkspaceId` for what is allowed. */
  readonly id: string
  /** The directory. It must exist for everything but `load`, which makes it. */
  readonly path: string
  /** Where versions are kept. @default none; `load`, `save`, `history` and `fork` then reject with `INVALID_INPUT` */
  readonly store?: ObjectStore | BundleStore | undefined
  /** Where private state (snapshot content, locks) is kept, outside the workspace. @default `$XDG_STATE_HOME/ws` or `~/.local/state/ws` */
  readonly stateDir?: string | undefined
  /** What saves leave out; see `CreateBundleOptions.exclude`. @default nothing */
  readonly exclude?: readonly string[] | undefined
}

export interface WorkspaceSnapshotOptions {
  /** @default 'snapshot' */
  readonly label?: string | undefined
  /** @default 'auto' */
  readonly strategy?: SnapshotStrategy | undefined
  /** For the hash strategy. @default no rules besides the defaults */
  readonly ignore?: IgnoreRules | undefined
  /** The snapshot taken before this one: what it captured stays in view even if ignore rules have changed. @default none */
  readonly previous?: Snapshot | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface ForkOptions {
  /** Directory of the new workspace; filled by its first `load()`. @default a sibling of this one, named by the new id */
  readonly path?: string | undefined
  /** @default the latest */
  readonly version?: number | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/**
 * A directory with an id: it can be seen (`snapshot`, `diff`), undone (`rollback`) and kept (`save`, `load`).
 *
 * A Workspace holds no lock and no open file. Everything that concerns the directory is found by its real path, so two
 * Workspace objects for one directory, also in two processes, work on the same state.
 */
export class Workspace {
  readonly id: string
  /** Absolute. */
  readonly path: string
  readonly stateDir: string | undefined
  readonly exclude: readonly string[]
  readonly #store: BundleStore | undefined

  /** @throws `INVALID_INPUT` for an illegal id or an empty path */
  constructor(options: WorkspaceOptions) {
    assertWorkspaceId(options.id)
    if (typeof options.path !== 'string' || options.path === '') {
      throw new WorkspaceError('INVALID_INPUT', `The workspace ${options.id} needs the path of a directory.`)
    }
    this.id = options.id
    this.path = resolve(options.path)
    this.stateDir = options.stateDir
    this.exclude = options.exclude ?? []
    this.#store =
      options.store === undefined || isBundleStore(options.store)
        ? options.store
        : createBundleStore(options.store)
  }

  /** A workspace for a directory that has no id yet: the id is made from its name and path. */
  static at(path: string): Workspace {
    if (typeof path !== 'string' || path === '') {
      throw new WorkspaceError(
        'INVALID_INPUT',
        'A workspace needs the path of a directory; this one is empty.',
      )
    }
    const absolute = resolve(path)
    const name = (absolute.split(/[/\\]/).at(-1) ?? '')
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
    const hash = createHash('sha256').update(absolute).digest('hex').slice(0, 12)
    return new Workspace({ id: `${name.slice(0, 80) || 'workspace'}-${hash}`, path: absolute })
  }

  /**
   * Puts a saved version into the directory, which is made if need be: exactly that version, or with `mode: 'merge'`
   * on top of what is there. `null` when nothing has been saved yet; the directory is then untouched.
   */
  async load(options: LoadOptions = {}): Promise<WorkspaceLoadResult | null> {
    return this.#requireStore('load').load(this.id, this.path, options)
  }

  /**
   * Stores the directory as the next version. Nothing is ever overwritten.
   * @throws `CONFLICT` when somebody else saved meanwhile (or `parent` is not the latest); nothing is stored then
   */
  async save(message: string, options: Omit<SaveOptions, 'message'> = {}): Promise<WorkspaceSaveResult> {
    const store = this.#requireStore('save')
    const root = await resolveWorkspaceRoot(this.path)
    return store.save(this.id, root, { exclude: this.exclude, ...options, message })
  }

  /** Saved versions, newest first. */
  history(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncIterable<WorkspaceVersion> {
    return this.#requireStore('history').history(this.id, options)
  }

  /**
   * Makes a new workspace that starts from a saved version of this one. The two go on independently.
   * @throws `NOT_FOUND` when there is no such version, `ALREADY_EXISTS` when the id is taken
   */
  async fork(id: string, options: ForkOptions = {}): Promise<Workspace> {
    const store = this.#requireStore('fork')
    const { path = join(dirname(this.path), id), version, signal } = options
    const fork = new Workspace({ id, path, store, stateDir: this.stateDir, exclude: this.exclude })
    if (await store.exists(id, { signal })) throw alreadyExists(id)
    const source = await store.download(this.id, { version, signal })
    if (source === null) {
      const which = version === undefined ? 'no saved version' : `no version ${version}`
      throw new WorkspaceError(
        'NOT_FOUND',
        `The workspace ${this.id} has ${which} to fork from. Save it first.`,
        {
          details: { id: this.id },
        },
      )
    }
    const message = `Fork of ${this.id} version ${source.version.version}`
    await store.upload(id, source, { message, parent: 0, signal }).catch((error: unknown) => {
      throw WorkspaceError.is(error, 'CONFLICT') ? alreadyExists(id, error) : error
    })
    return fork
  }

  /** Captures the directory as it is now. */
  async snapshot(options: WorkspaceSnapshotOptions = {}): Promise<Snapshot> {
    const { label = 'snapshot', strategy, ignore, previous, signal } = options
    const backend = await this.openBackend({ strategy: previous?.backend ?? strategy, ignore })
    return backend.capture({ label, previous, signal })
  }

  /** What changed from one snapshot to another, or to now. */
  async diff(
    from: Snapshot,
    to?: Snapshot,
    options: PatchOptions & { readonly ignore?: IgnoreRules | undefined } = {},
  ): Promise<WorkspaceDiff> {
    const { signal, ignore } = options
    const backend = await this.openBackend({ strategy: from.backend, ignore })
    const end = to ?? (await backend.capture({ label: 'now', previous: from, signal }))
    return attachPatch(await computeDiff(backend, from, end, { signal }), backend, from, end, options)
  }

  /** Puts the directory back to a snapshot. See {@link RollbackOptions}. */
  async rollback(to: Snapshot, options: RollbackOptions = {}): Promise<RollbackResult> {
    const backend = await this.openBackend({ strategy: to.backend })
    return backend.rollback(to, options)
  }

  /** The snapshot backend that fits this directory; used by `executeRun`. */
  async openBackend(options: {
    readonly strategy?: SnapshotStrategy | undefined
    readonly needsRollback?: boolean | undefined
    readonly ignore?: IgnoreRules | undefined
  }): Promise<SnapshotBackend> {
    const path = await resolveWorkspaceRoot(this.path)
    const stateDirectory = await prepareStateDirectory(path, this.stateDir)
    return openSnapshotBackend({ path, stateDirectory, ...options })
  }

  #requireStore(verb: string): BundleStore {
    if (this.#store !== undefined) return this.#store
    throw new WorkspaceError(
      'INVALID_INPUT',
      `The workspace ${this.id} has no store, so it cannot ${verb}. Pass one: new Workspace({ id, path, store: localStore({ root }) }).`,
    )
  }
}

function isBundleStore(store: ObjectStore | BundleStore): store is BundleStore {
  return 'upload' in store && 'save' in store
}

function alreadyExists(id: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError(
    'ALREADY_EXISTS',
    `There is a workspace ${id} already. Choose another id for the fork.`,
    {
      cause,
      details: { id },
    },
  )
}
