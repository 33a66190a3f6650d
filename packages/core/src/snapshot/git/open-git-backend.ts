import { join } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { acquireProcessLock } from '../../filesystem/process-lock.ts'
import { fillCapturePolicy, type CapturePolicy, type CapturePolicyOptions } from '../capture-policy.ts'
import { explainFailure } from '../explain-failure.ts'
import { noteTakeover } from '../note-takeover.ts'
import { recoverRollback } from '../rollback/complete-rollback.ts'
import { rollbackDirectory } from '../rollback/rollback-directory.ts'
import { tellingRecovery, withRecovery } from '../rollback/with-recovery.ts'
import type { SnapshotBackend } from '../snapshot-backend.ts'
import { passProgress } from '../snapshot-progress.ts'
import { captureStateFile } from './capture/capture-state-file.ts'
import { captureWorkspace } from './capture/capture.ts'
import { assertLogged } from './capture/assert-present.ts'
import { describeChanges, stateOf, streamPatch } from './capture/compare-states.ts'
import { explainLoss } from './private/explain-loss.ts'
import { hasFormat, objectFormats } from './private/object-format.ts'
import { parseRef } from './private/sidecar.ts'
import { isDamage, withHealing } from './maintain/heal-store.ts'
import { openPrivateRepository } from './private/private-repository.ts'
import type { GitWorkspace } from './capture/read-contents.ts'
import { gitRollbackSource } from './restore/rollback-source.ts'
import { sweepKilledCollection } from './maintain/sweep-store.ts'
import type { UserRepository } from './user/repository-layout.ts'
import { recallRepository, rememberRepository } from './user/remembered-repository.ts'
import { findUserRepository, nearestRepository } from './user/user-repository.ts'

export interface OpenGitBackendOptions extends CapturePolicyOptions {
  /** Real path of the workspace: the top of a work tree, or a directory in one. */
  readonly path: string
  /** Absolute path of the workspace's private state directory. */
  readonly stateDirectory: string
  /** Of a snapshot that it is for: objects are named as in that one, also where the repository was made anew since. */
  readonly ref?: string | undefined
}

const LOCK_WAIT_MS = 5 * 60_000

/**
 * Snapshots of a directory in a git work tree, kept in a private repository below the state directory. The user's
 * repository is only read: its ignore rules decide what counts, its index and objects save work.
 *
 * @returns `null` when the directory is in no work tree, or in one that ignores it
 * @throws `INVALID_INPUT` for a bare repository, `CORRUPT` for one that git cannot open, `UNSUPPORTED` without git 2.31
 */
export async function openGitBackend(options: OpenGitBackendOptions): Promise<SnapshotBackend | null> {
  const { path, stateDirectory } = options
  const policy = fillCapturePolicy(options)
  const user = await findUserRepository(path, stateDirectory)
  if (typeof user === 'string') return null
  rememberRepository(stateDirectory, user)
  return backendFor(options, user, policy)
}

/**
 * The same, but a directory outside of every repository does without a git that is new enough. One that is there is asked
 * all the same: only it knows a bare repository.
 */
export async function openGitBackendIfNeeded(
  options: OpenGitBackendOptions,
): Promise<SnapshotBackend | null> {
  try {
    return await openGitBackend(options)
  } catch (error) {
    if (!WorkspaceError.is(error, 'UNSUPPORTED') && !WorkspaceError.is(error, 'ACCESS_DENIED')) throw error
    if ((await nearestRepository(options.path)) !== null) throw error
    return null
  }
}

/**
 * For snapshots that were taken while there was a repository: they are rolled back from the private store also when an
 * agent has removed or broken it.
 * @returns `null` when no snapshot was ever taken
 */
export async function openRememberedGitBackend(
  options: OpenGitBackendOptions,
): Promise<SnapshotBackend | null> {
  const user = recallRepository(options.stateDirectory)
  return user === null ? null : backendFor(options, user, fillCapturePolicy(options))
}

async function backendFor(
  options: OpenGitBackendOptions,
  found: UserRepository,
  policy: CapturePolicy,
): Promise<SnapshotBackend> {
  const { path, stateDirectory, ref } = options
  const tree = ref === undefined ? undefined : parseRef(ref)?.tree
  const format = objectFormats.find((each) => tree !== undefined && hasFormat(each, tree)) ?? found.format
  const user = { ...found, format }
  const own = await openPrivateRepository(stateDirectory, user.format)
  const workspace: GitWorkspace = { path, user, own, stateFile: captureStateFile(own), ...policy }
  /** What was healed and has not been told yet. */
  const notes: string[] = []
  /** The patch of what was compared last, until it is asked for. */
  let atHand: { readonly from: string; readonly to: string; readonly patch: Uint8Array } | null = null
  const exclusively = async <T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> => {
    const lock = await acquireProcessLock(join(stateDirectory, 'git'), 'capture', {
      activity: `a snapshot or rollback of ${path}`,
      waitTimeoutMs: LOCK_WAIT_MS,
      signal,
    })
    if (lock.recoveredFrom !== null) notes.push(noteTakeover(lock.recoveredFrom))
    let result: T
    try {
      result = await withHealing(workspace, work, (note) => notes.push(note))
    } catch (error) {
      // Where the disk is full the release may fail as well; what matters is why the work did.
      await lock.release().catch(() => {})
      throw explainFailure(await explainLoss(own, null, error), { path, stateDirectory })
    }
    await lock.release()
    return result
  }
  return {
    name: 'git',
    capabilities: { patch: true, rollback: true },
    capture: ({ label, previous, onProgress, signal }) =>
      exclusively(signal, async () => {
        const keepInView = previous === undefined ? [] : [stateOf(previous, path)]
        if (keepInView.length > 0) assertLogged(own, keepInView)
        const recovery = await recoverRollback(gitRollbackSource(workspace))
        const { snapshot } = await tellingRecovery(recovery, async () => {
          await sweepKilledCollection(own)
          const request = { label, keepInView, onProgress: passProgress(onProgress), signal }
          return captureWorkspace(workspace, request)
        })
        const told = withRecovery(snapshot, recovery)
        return notes.length === 0 ? told : { ...told, notes: notes.splice(0) }
      }),
    async changes(from, to, { signal } = {}) {
      const states = [stateOf(from, path), stateOf(to, path)] as const
      const onPatch = (patch: Uint8Array): void => void (atHand = { from: from.ref, to: to.ref, patch })
      const describe = () => describeChanges(own, ...states, { signal, onPatch })
      return describe().catch((error: unknown) => {
        if (isDamage(error)) return exclusively(signal, describe)
        throw error
      })
    },
    async *patch(from, to, { signal } = {}) {
      const states = [stateOf(from, path), stateOf(to, path)] as const
      signal?.throwIfAborted()
      const found = atHand?.from === from.ref && atHand.to === to.ref ? atHand.patch : null
      atHand = null
      if (found !== null) return yield found
      let isBegun = false
      try {
        for await (const chunk of streamPatch(own, ...states, signal)) {
          isBegun = true
          yield chunk
        }
      } catch (error) {
        if (!isDamage(error)) throw error
        // It reads all that a patch needs.
        await exclusively(signal, () => describeChanges(own, ...states, { signal }))
        if (isBegun) throw healedMeanwhile(error)
        yield* streamPatch(own, ...states, signal)
      }
    },
    rollback: (target, rollbackOptions = {}) =>
      exclusively(rollbackOptions.signal, () =>
        rollbackDirectory(gitRollbackSource(workspace), target, rollbackOptions),
      ),
  }
}

/** Why {@link openGitBackend} has no backend for a directory, to follow its path in a sentence. */
export async function explainNoGitBackend(options: OpenGitBackendOptions): Promise<string> {
  const found = await findUserRepository(options.path, options.stateDirectory)
  return found === 'ignored' ? 'is ignored by the git repository that it lies in' : 'is in no git work tree'
}

function healedMeanwhile(cause: WorkspaceError): WorkspaceError {
  return new WorkspaceError(
    'UNAVAILABLE',
    'Reading what is stored failed within the patch; it can be read now. Make the patch again.',
    { cause },
  )
}
