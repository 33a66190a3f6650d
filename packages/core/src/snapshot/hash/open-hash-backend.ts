import { randomUUID } from 'node:crypto'
import { WorkspaceError } from '../../errors.ts'
import { prepareBackendDirectories } from '../backend-directories.ts'
import type { SnapshotBackend } from '../snapshot-backend.ts'
import { passProgress } from '../snapshot-progress.ts'
import type { Snapshot } from '../snapshot.ts'
import { capture } from './capture.ts'
import { compareManifests } from './compare-manifests.ts'
import { normalizeIgnoreRules, type HashIgnoreOptions } from './ignore-rules.ts'

export interface OpenHashBackendOptions {
  /** The workspace. */
  readonly path: string
  /** The workspace's private state directory; manifests and the stat cache go to `hash` in it. */
  readonly stateDirectory: string
  /** What captures leave out. @default `.git`, `node_modules`, `deps` and `_build` at any depth */
  readonly ignore?: HashIgnoreOptions | undefined
}

/**
 * Snapshots by hashing: a manifest of every file (SHA-256), symbolic link and empty directory, with types and modes.
 * Works in any directory, git or not. Knows what changed and not how: there is no content to patch or roll back with.
 *
 * - A file whose inode, size, mode and nanosecond times are those of the last capture is not read again, unless it had
 *   changed within two seconds before that capture; so an edit of equal size whose modification time was set back is
 *   seen. (What this cannot see, like all that compares stats: writes through a shared memory mapping that the kernel has
 *   not yet accounted for, and file systems whose clock runs behind this machine's by more than two seconds.)
 * - Links are never followed; pipes, sockets and devices are never opened. What cannot be read is counted in `coverage`.
 * - Ignore rules are the caller's alone, no file in the workspace changes them. Snapshots taken under different rules
 *   are compared where both of them looked.
 * - Big directories are captured in worker threads; the caller's event loop stays free.
 *
 * @throws `INVALID_INPUT` for an unusable ignore rule or a state directory that is the workspace, `NOT_FOUND` when there
 * is no directory, `ACCESS_DENIED`.
 */
export async function openHashBackend(options: OpenHashBackendOptions): Promise<SnapshotBackend> {
  const rules = normalizeIgnoreRules(options.ignore)
  const { root, directory, ownPath } = await prepareBackendDirectories(options, 'hash')

  return {
    name: 'hash',
    capabilities: { patch: false, rollback: false },

    async capture({ label, onProgress, signal }) {
      const outcome = await capture(
        { root, directory, ownPath, rules },
        { onProgress: passProgress(onProgress), signal },
      )
      return {
        id: randomUUID(),
        backend: 'hash',
        path: root,
        ref: outcome.ref,
        label,
        capturedAt: new Date().toISOString(),
        metadata: { entries: outcome.entries },
        coverage: outcome.coverage,
      }
    },

    async changes(from, to, { signal } = {}) {
      signal?.throwIfAborted()
      for (const snapshot of [from, to]) assertComparable(snapshot, root)
      if (from.ref === to.ref) return []
      return compareManifests({ directory, from: from.ref, to: to.ref, signal })
    },

    // eslint-disable-next-line require-yield -- it has nothing to give
    async *patch() {
      throw unsupported('make a patch')
    },

    async rollback() {
      throw unsupported('roll back')
    },
  }
}

function assertComparable(snapshot: Snapshot, root: string): void {
  if (snapshot.backend !== 'hash') {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `A snapshot of the ${snapshot.backend} backend cannot be compared by the hash backend. Compare snapshots of one backend.`,
    )
  }
  if (snapshot.path !== root) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `A snapshot of ${snapshot.path} cannot be compared by the backend of ${root}. Compare snapshots of one directory.`,
      { details: { path: snapshot.path } },
    )
  }
  if (!/^[0-9a-f]{64}$/.test(snapshot.ref)) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `${JSON.stringify(snapshot.ref)} is not the ref of a hash snapshot.`,
    )
  }
}

function unsupported(action: string): WorkspaceError {
  return new WorkspaceError(
    'UNSUPPORTED',
    `The hash backend keeps no content, so it cannot ${action}. Take snapshots with strategy "bundle", or "git" in a git repository.`,
    { details: { backend: 'hash' } },
  )
}
