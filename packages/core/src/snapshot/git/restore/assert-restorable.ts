import { existsSync, lstatSync, realpathSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { isInside } from '../../../filesystem/workspace-root.ts'
import { fromBytePath, joinPath, nativePath, toBytePath, type BytePath } from '../../byte-path.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import type { RepositoryState } from '../user/repository-state.ts'
import { locked, sweepIndex } from './write-index.ts'

/**
 * What must be so before anything of a repository is written.
 * @throws `BUSY` while a git command holds a lock, `UNSUPPORTED` for a reftable repository, a split index or a git directory among the files,
 * `UNSAFE_PATH` where a part of the repository is a link, `CONFLICT` when it is another repository now
 */
export function assertRestorable(user: UserRepository, now: RepositoryState, goal: RepositoryState): void {
  assertSupported(goal)
  assertSupported(now)
  assertSamePlace(now, goal)
  assertUncaptured(user)
  assertPlainPlaces(now, goal)
  assertUnlocked(user, now, goal)
}

function assertSupported({ obstacle }: RepositoryState): void {
  if (obstacle === null) return
  const what = obstacle === 'reftable' ? 'keeps its refs in reftable files' : 'has a split index'
  throw new WorkspaceError(
    'UNSUPPORTED',
    `restoreGit does not work in a repository that ${what}. Roll back without it; nothing was changed.`,
    { details: { obstacle } },
  )
}

/** An agent may point `.git` at another repository; that one is not ours to change. */
function assertSamePlace(now: RepositoryState, goal: RepositoryState): void {
  if (now.gitDirectory === goal.gitDirectory && now.commonDirectory === goal.commonDirectory) return
  throw new WorkspaceError(
    'CONFLICT',
    `The workspace belongs to another repository now (${now.gitDirectory}, at the snapshot ${goal.gitDirectory}), so restoreGit changes nothing. Roll back without it.`,
    { details: { present: now.gitDirectory, recorded: goal.gitDirectory } },
  )
}

/** Under another name than `.git` it is captured as files, and cannot be put back as files and as a repository at once. */
function assertUncaptured({ topLevel, gitDirectory }: UserRepository): void {
  if (!isInside(topLevel, gitDirectory) || relative(topLevel, gitDirectory).split(sep).includes('.git'))
    return
  throw new WorkspaceError(
    'UNSUPPORTED',
    `restoreGit does not work where the git directory, ${gitDirectory}, lies in the workspace under another name: its files are captured like all others. Roll back without it; nothing was changed.`,
    { details: { path: gitDirectory } },
  )
}

/** git would write through a link inside the repository. */
function assertPlainPlaces(now: RepositoryState, goal: RepositoryState): void {
  const { commonDirectory: common, gitDirectory } = now
  const refs = [goal.branch, now.branch, 'refs/stash', 'refs/ws/rollback/x'].filter((ref) => ref !== null)
  const places = new Set<BytePath>()
  for (const ref of refs) {
    for (const start of [ref, `logs/${ref}`])
      for (let part = start; part !== '.'; part = dirname(part))
        places.add(joinPath(toBytePath(common), part))
  }
  for (const file of ['index', 'HEAD', 'logs', 'logs/HEAD']) places.add(toBytePath(join(gitDirectory, file)))
  for (const file of ['packed-refs', 'objects', 'objects/pack']) places.add(toBytePath(join(common, file)))
  for (const place of places) {
    if (lstatSync(nativePath(place), { throwIfNoEntry: false })?.isSymbolicLink() !== true) continue
    throw new WorkspaceError(
      'UNSAFE_PATH',
      `${fromBytePath(place)} is a link, and restoreGit writes through none. Roll back without it; nothing was changed.`,
      { details: { path: fromBytePath(place) } },
    )
  }
  const index = join(gitDirectory, 'index')
  if (lstatSync(index, { throwIfNoEntry: false })?.isDirectory() === true)
    throw new WorkspaceError(
      'UNSAFE_PATH',
      `${index} is a directory, so restoreGit cannot put the index back. Move it away, or roll back without it; nothing was changed.`,
      { details: { path: index } },
    )
  if (realpathSync(gitDirectory) !== gitDirectory)
    throw new WorkspaceError('UNSAFE_PATH', `${gitDirectory} moved.`)
}

function assertUnlocked(user: UserRepository, now: RepositoryState, goal: RepositoryState): void {
  sweepIndex(user.indexFile)
  const refs = [goal.branch, now.branch, 'refs/stash', 'packed-refs'].filter((ref) => ref !== null)
  const common = toBytePath(now.commonDirectory)
  const locks = [
    toBytePath(`${user.indexFile}.lock`),
    toBytePath(join(user.gitDirectory, 'HEAD.lock')),
    ...refs.map((ref) => joinPath(common, `${ref}.lock`)),
  ]
  for (const lock of locks) if (existsSync(nativePath(lock))) throw locked(fromBytePath(lock))
}
