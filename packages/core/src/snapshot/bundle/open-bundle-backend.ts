import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { acquireProcessLock } from '../../filesystem/process-lock.ts'
import { sweepPrivateStore } from '../../store/private-directory-store.ts'
import { prepareBackendDirectories } from '../backend-directories.ts'
import { fillCapturePolicy, type CapturePolicyOptions } from '../capture-policy.ts'
import { explainFailure } from '../explain-failure.ts'
import { normalizeIgnoreRules, type HashIgnoreOptions, type IgnoreRules } from '../hash/ignore-rules.ts'
import { noteTakeover } from '../note-takeover.ts'
import { recoverRollback } from '../rollback/complete-rollback.ts'
import { rollbackDirectory } from '../rollback/rollback-directory.ts'
import { tellingRecovery, withRecovery } from '../rollback/with-recovery.ts'
import type { SnapshotBackend } from '../snapshot-backend.ts'
import { passProgress } from '../snapshot-progress.ts'
import type { Snapshot } from '../snapshot.ts'
import { captureDirectory } from './capture.ts'
import { describeChanges, type DescribedState } from './describe-changes.ts'
import { distrustDamaged, sweepDistrusted } from './distrusted-packs.ts'
import { bundleRollbackSource } from './rollback-source.ts'
import { openState, stateCacheOf } from './stored-state.ts'
import { factsOf, findSnapshot, openWorkspace, type BundleWorkspace } from './workspace-versions.ts'
import { writePatch } from './write-patch.ts'

export interface OpenBundleBackendOptions extends CapturePolicyOptions {
  /** The workspace. */
  readonly path: string
  /** The workspace's private state directory; content goes to `bundle` in it. */
  readonly stateDirectory: string
  /** What captures leave out besides `.git`; its `defaults` are off here unless asked for. @default nothing more */
  readonly ignore?: HashIgnoreOptions | undefined
}

const LOCK_WAIT_MS = 5 * 60_000

/**
 * Snapshots of any directory with its content, kept as versions in a private store: changes, patches and rollback
 * where there is no git repository, or where everything counts.
 *
 * - Everything is captured, what a repository would ignore too. Only `.git` at any depth, what the caller's rules name,
 *   and the state directory itself are left out; no file in the workspace changes that. Nothing in a `.git` is ever
 *   changed or removed.
 * - The permissions of all directories are captured and rolled back; in `changes` a directory shows only when it is empty. A file
 *   that is written back has the modification time it was captured with (to the microsecond), and stays one file with
 *   the names that it was hard-linked to as far as they are written back too. Times of directories, owners and extended
 *   attributes are not captured.
 * - Equal content is stored once, over all snapshots. An unchanged directory costs a walk, a changed one the change.
 * - Files over 8 MiB count as binary in `changes` and patches.
 * - Not flushed to the disk: a snapshot taken just before a power failure may be gone afterwards (`NOT_FOUND`).
 *
 * @throws `INVALID_INPUT` for an unusable ignore rule or a state directory that is the workspace, `NOT_FOUND` when there
 * is no directory, `ACCESS_DENIED`.
 */
export async function openBundleBackend(options: OpenBundleBackendOptions): Promise<SnapshotBackend> {
  const { ignore } = options
  const rules = toRules(ignore)
  const policy = fillCapturePolicy(options)
  const { root: path, directory, ownPath } = await prepareBackendDirectories(options, 'bundle')
  const workspace = await openWorkspace(path, directory, ownPath, policy)

  const exclusively = async <T>(
    signal: AbortSignal | undefined,
    work: (recoveredFrom: number | null) => Promise<T>,
  ): Promise<T> => {
    const activity = `a snapshot or rollback of ${path}`
    const lock = await acquireProcessLock(directory, 'capture', {
      activity,
      waitTimeoutMs: LOCK_WAIT_MS,
      signal,
    })
    try {
      return await work(lock.recoveredFrom)
    } catch (error) {
      throw distrustDamaged(workspace, explainFailure(error, { ...options, path }))
    } finally {
      await lock.release()
    }
  }

  return {
    name: 'bundle',
    capabilities: { patch: true, rollback: true },

    capture: ({ label, onProgress, signal }) =>
      exclusively(signal, async (recoveredFrom) => {
        sweepTemporaries(directory, workspace)
        const recovery = await recoverRollback(bundleRollbackSource(workspace))
        const request = { label, rules, onProgress: passProgress(onProgress), signal }
        const { snapshot } = await tellingRecovery(recovery, () =>
          captureDirectory(workspace, request).catch((error: unknown) => {
            // With what is damaged noted, everything is read from the directory.
            if (!WorkspaceError.is(distrustDamaged(workspace, error), 'CORRUPT')) throw error
            return captureDirectory(workspace, request)
          }),
        )
        const told = withRecovery(snapshot, recovery)
        if (recoveredFrom === null) return told
        return { ...told, notes: [noteTakeover(recoveredFrom), ...(told.notes ?? [])] }
      }),

    async changes(from, to, { signal } = {}) {
      signal?.throwIfAborted()
      try {
        const [before, after] = await openBoth(workspace, from, to, signal)
        return from.ref === to.ref ? [] : await describeChanges(before, after, signal)
      } catch (error) {
        throw distrustDamaged(workspace, error)
      }
    },

    async *patch(from, to, { signal } = {}) {
      signal?.throwIfAborted()
      try {
        const [before, after] = await openBoth(workspace, from, to, signal)
        if (from.ref !== to.ref) yield* writePatch(before, after, signal)
      } catch (error) {
        throw distrustDamaged(workspace, error)
      }
    },

    rollback: (target, rollbackOptions = {}) =>
      exclusively(rollbackOptions.signal, () =>
        rollbackDirectory(bundleRollbackSource(workspace), target, rollbackOptions),
      ),
  }
}

/** What killed captures left behind. Whoever writes to these places without the lock can do without what it writes. */
function sweepTemporaries(directory: string, workspace: BundleWorkspace): void {
  const { cacheDirectory } = workspace
  sweepPrivateStore(join(directory, 'store'))
  sweepDistrusted(workspace, join(directory, 'store/packs'))
  mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(cacheDirectory))
    if (name.endsWith('.tmp')) rmSync(join(cacheDirectory, name), { force: true })
}

async function openBoth(
  workspace: BundleWorkspace,
  from: Snapshot,
  to: Snapshot,
  signal: AbortSignal | undefined,
): Promise<readonly [DescribedState, DescribedState]> {
  const cache = stateCacheOf(workspace)
  const describe = async (snapshot: Snapshot): Promise<DescribedState> => {
    const record = await findSnapshot(workspace, snapshot, signal)
    const facts = factsOf(record)
    return { state: openState(workspace, record, cache, { ...facts, signal }), facts }
  }
  return [await describe(from), await describe(to)]
}

/** `.git` is never captured: what is in it is the user's repository, and a rollback must not touch that. */
function toRules(ignore: HashIgnoreOptions = {}): IgnoreRules {
  const rules = normalizeIgnoreRules({ ...ignore, defaults: ignore.defaults ?? false })
  return { ...rules, names: [...new Set([...rules.names, '.git'])].toSorted() }
}
