import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'
import { inStateDirectory } from '../filesystem/filesystem-error.ts'
import { refusePermissionModel } from '../filesystem/permission-model.ts'
import { assertRealRoot } from '../filesystem/workspace-root.ts'
import { isFlag, isTextList } from '../option-checks.ts'
import type { CapturePolicyOptions } from './capture-policy.ts'
import { collectLater } from './collect-later.ts'
import { openBundleBackend } from './bundle/open-bundle-backend.ts'
import {
  explainNoGitBackend,
  openGitBackend,
  openGitBackendIfNeeded,
  openRememberedGitBackend,
  type OpenGitBackendOptions,
} from './git/open-git-backend.ts'
import { openHashBackend } from './hash/open-hash-backend.ts'
import type { SnapshotBackend } from './snapshot-backend.ts'

/** `auto` takes git in a git work tree; elsewhere hash, or bundle when rollback is needed. */
export type SnapshotStrategy = 'auto' | 'git' | 'hash' | 'bundle'

const strategies: readonly string[] = ['auto', 'git', 'hash', 'bundle'] satisfies SnapshotStrategy[]

/**
 * What the hash and bundle backends leave out, on top of their defaults. The git backend follows the repository's ignore
 * files.
 */
export interface IgnoreRules {
  /** Names to ignore at any depth, or paths (with a `/`) from the workspace on. @default none */
  readonly paths?: readonly string[] | undefined
  /** Globs; one without a `/` also matches names at any depth. @default none */
  readonly globs?: readonly string[] | undefined
  /** Whether `.git`, `node_modules`, `deps` and `_build` are ignored at any depth. @default hash: true; bundle: only `.git` */
  readonly defaults?: boolean | undefined
}

const ignoreRuleNames: OptionNames<IgnoreRules> = {
  paths: isTextList,
  globs: isTextList,
  defaults: isFlag,
}

export interface OpenSnapshotBackendOptions extends CapturePolicyOptions {
  /** Real path of the workspace. */
  readonly path: string
  /** The workspace's private state directory. */
  readonly stateDirectory: string
  /** @default 'auto' */
  readonly strategy?: SnapshotStrategy | undefined
  /** Whether the caller needs rollback; refused here, before anything has run. @default false */
  readonly needsRollback?: boolean | undefined
  /** Whether it is for snapshots that were taken before: git's then also serve when the repository is gone. @default false */
  readonly isForSnapshots?: boolean | undefined
  /** Of a snapshot by git that it has to understand. @default none */
  readonly ref?: string | undefined
  /** @default no rules besides the defaults */
  readonly ignore?: IgnoreRules | undefined
  /** Disk budget of the backend's private content. @default 5 GiB, for hash 256 MiB */
  readonly maxSnapshotBytes?: number | undefined
}

/**
 * Picks and opens the backend for a directory.
 * @throws `INVALID_INPUT` for an unknown strategy, `git` outside a work tree, or `hash` when rollback is needed
 */
export async function openSnapshotBackend(options: OpenSnapshotBackendOptions): Promise<SnapshotBackend> {
  const { path, stateDirectory, maxSnapshotBytes } = options
  const backend = await inStateDirectory(stateDirectory, () => pickBackend(options))
  return {
    ...backend,
    changes: (from, to, request) =>
      inStateDirectory(stateDirectory, () => backend.changes(from, to, request)),
    async capture(request) {
      // The agent may have put a link in the place of the directory: where that leads is nobody's workspace.
      await assertRealRoot(path)
      const snapshot = await backend.capture(request)
      collectLater({ path, stateDirectory, maxSnapshotBytes })
      return snapshot
    },
    async rollback(target, request) {
      refusePermissionModel('A rollback')
      await assertRealRoot(path)
      return backend.rollback(target, request)
    },
  }
}

async function pickBackend(options: OpenSnapshotBackendOptions): Promise<SnapshotBackend> {
  const { path, stateDirectory, strategy = 'auto', needsRollback = false, ignore } = options
  assertKnownOptions('ignore', ignore ?? {}, ignoreRuleNames)
  const { limits, precious } = options
  if (needsRollback) refusePermissionModel('A rollback')
  if (!strategies.includes(strategy)) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `There is no snapshot strategy ${describeValue(strategy)}. Use one of: ${strategies.join(', ')}.`,
    )
  }
  const openBundle = () => openBundleBackend({ path, stateDirectory, ignore, limits, precious })
  if (strategy === 'bundle') return openBundle()
  if (strategy === 'hash' && needsRollback) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      'The hash strategy keeps no content, so it cannot roll back. Use strategy "auto", "git" or "bundle", or leave rollbackOnFailure off.',
    )
  }
  if (strategy !== 'hash') {
    const git = { path, stateDirectory, limits, precious, ref: options.ref }
    const backend = await openByGit(git, strategy, options.isForSnapshots === true)
    if (backend !== null) return backend
    if (strategy === 'git') {
      const reason = await explainNoGitBackend({ path, stateDirectory })
      throw new WorkspaceError(
        'INVALID_INPUT',
        `${path} ${reason}, so strategy "git" cannot work. Run "git init" there, or use strategy "auto", "hash" or "bundle".`,
        { details: { path } },
      )
    }
  }
  if (needsRollback) return openBundle()
  return openHashBackend({ path, stateDirectory, ignore })
}

async function openByGit(
  options: OpenGitBackendOptions,
  strategy: 'auto' | 'git',
  isForSnapshots: boolean,
): Promise<SnapshotBackend | null> {
  if (strategy === 'auto') return openGitBackendIfNeeded(options)
  return isForSnapshots ? openForSnapshots(options) : openGitBackend(options)
}

const broken = ['ACCESS_DENIED', 'CORRUPT', 'INVALID_INPUT', 'TIMEOUT', 'UNSUPPORTED'] as const

/** An agent may have removed the repository, broken it, or closed it. */
async function openForSnapshots(options: OpenGitBackendOptions): Promise<SnapshotBackend | null> {
  try {
    const backend = await openGitBackend(options)
    if (backend !== null) return backend
  } catch (error) {
    const isBroken = broken.some((code) => WorkspaceError.is(error, code))
    const remembered = isBroken ? await openRememberedGitBackend(options) : null
    if (remembered === null) throw error
    return remembered
  }
  return openRememberedGitBackend(options)
}
