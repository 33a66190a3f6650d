import { WorkspaceError } from '../errors.ts'
import { openGitBackend } from './git/open-git-backend.ts'
import { openHashBackend } from './hash/open-hash-backend.ts'
import type { SnapshotBackend } from './snapshot-backend.ts'

/** `auto` takes git in a git work tree and hash elsewhere. */
export type SnapshotStrategy = 'auto' | 'git' | 'hash' | 'bundle'

const strategies: readonly string[] = ['auto', 'git', 'hash', 'bundle'] satisfies SnapshotStrategy[]

/** What the hash backend leaves out, on top of its defaults. The git backend follows the repository's ignore files. */
export interface IgnoreRules {
  /** Names to ignore at any depth, or paths (with a `/`) from the workspace on. @default none */
  readonly paths?: readonly string[] | undefined
  /** Globs; one without a `/` also matches names at any depth. @default none */
  readonly globs?: readonly string[] | undefined
  /** Whether `.git`, `node_modules`, `deps` and `_build` are ignored at any depth. @default true */
  readonly defaults?: boolean | undefined
}

export interface OpenSnapshotBackendOptions {
  /** Real path of the workspace. */
  readonly path: string
  /** The workspace's private state directory. */
  readonly stateDirectory: string
  /** @default 'auto' */
  readonly strategy?: SnapshotStrategy | undefined
  /** Whether the caller needs rollback; refused here, before anything has run. @default false */
  readonly needsRollback?: boolean | undefined
  /** @default no rules besides the defaults */
  readonly ignore?: IgnoreRules | undefined
}

/**
 * Picks and opens the backend for a directory.
 * @throws `INVALID_INPUT` for an unknown strategy, `git` outside a work tree, or `hash` when rollback is needed;
 * `UNSUPPORTED` when no backend can do what is needed here.
 */
export async function openSnapshotBackend(options: OpenSnapshotBackendOptions): Promise<SnapshotBackend> {
  const { path, stateDirectory, strategy = 'auto', needsRollback = false, ignore } = options
  if (!strategies.includes(strategy)) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `There is no snapshot strategy ${JSON.stringify(strategy)}. Use one of: ${strategies.join(', ')}.`,
    )
  }
  if (strategy === 'bundle') {
    throw new WorkspaceError(
      'UNSUPPORTED',
      'The bundle strategy does not exist yet. Use "auto", "git" or "hash".',
    )
  }
  if (strategy === 'hash' && needsRollback) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      'The hash strategy keeps no content, so it cannot roll back. Use a git repository with strategy "git" or "auto", or leave rollbackOnFailure off.',
    )
  }
  if (strategy !== 'hash') {
    const backend = await openGitBackend({ path, stateDirectory })
    if (backend !== null) return backend
    if (strategy === 'git') {
      throw new WorkspaceError(
        'INVALID_INPUT',
        `${path} is in no git work tree, so strategy "git" cannot work. Run "git init" there, or use strategy "auto" or "hash".`,
        { details: { path } },
      )
    }
  }
  if (needsRollback) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `${path} is in no git work tree, and only the git backend can roll back. Run "git init" there, or leave rollbackOnFailure off.`,
      { details: { path } },
    )
  }
  return openHashBackend({ path, stateDirectory, ignore })
}
