import { isUtf8 } from 'node:buffer'
import { lstatSync } from 'node:fs'
import { dirname } from 'node:path'
import { fromBytePath, joinPath, nativePath, toBytePath } from '../../byte-path.ts'
import { readBranch, refIn } from '../user/read-branch.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import type { RepositoryState } from '../user/repository-state.ts'
import { findWorktreeHeads } from '../user/worktree-heads.ts'

/** Why HEAD cannot go back to a branch. */
export function findHindrance(
  user: UserRepository,
  now: RepositoryState,
  goal: RepositoryState,
): string | null {
  const { branch } = goal
  const named = refIn(goal.head) ?? goal.head
  if (branch === null) return `HEAD named ${fromBytePath(named)}, which is no branch`
  if (!isUtf8(Buffer.from(named, 'latin1'))) return `the name of ${fromBytePath(named)} is not UTF-8`
  const leadsTo = readBranch(toBytePath(dirname(user.objectsDirectory)), goal.head)
  if (leadsTo !== branch)
    return `${fromBytePath(named)} led to ${fromBytePath(branch)}, and does not any more`
  const holder = findWorktreeHeads(now).find(({ head }) => head === goal.head)
  if (holder !== undefined) return `another work tree has it checked out: ${holder.name}`
  if (now.refs.has(branch)) return null
  const place = nativePath(joinPath(toBytePath(now.commonDirectory), branch))
  if (lstatSync(place, { throwIfNoEntry: false })?.isFile() === true)
    return `the file of ${fromBytePath(branch)} is damaged; remove it first`
  const inTheWay = [...now.refs.keys()].find(
    (ref) => ref.startsWith(`${branch}/`) || branch.startsWith(`${ref}/`),
  )
  return inTheWay === undefined
    ? null
    : `${fromBytePath(inTheWay)} is in the way of ${fromBytePath(branch)}; rename or delete it first`
}
