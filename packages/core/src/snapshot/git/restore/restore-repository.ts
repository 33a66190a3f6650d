import { WorkspaceError } from '../../../errors.ts'
import type { GitRestore } from '../../snapshot-backend.ts'
import { runGit, type GitCall } from '../private/git-command.ts'
import { refIn } from '../user/read-branch.ts'
import { importObjects } from '../user/import-objects.ts'
import { assertRestorable } from './assert-restorable.ts'
import { findHindrance } from './find-hindrance.ts'
import {
  commitOf,
  isDetached,
  planRepository,
  shownPlan,
  stashIds,
  type RepositoryPlan,
} from './plan-repository.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import {
  loadRepositoryState,
  readRepositoryState,
  readStored,
  type RepositoryState,
} from '../user/repository-state.ts'
import { commitsIn, operationsIn } from '../user/repository-operation.ts'
import { entriesOf, parseIndex } from '../user/user-index.ts'
import { removeIndex, sweepIndex, writeIndex } from './write-index.ts'
import { writeOperation } from './write-operation.ts'
import { writeStashLog } from './write-stash-log.ts'

/** The repository of a workspace, on its way back to what a snapshot recorded. */
export interface RepositoryRestore {
  readonly plan: RepositoryPlan
  /** What would be, or is, put back; as the result of a rollback has it. */
  readonly report: GitRestore
  readonly now: RepositoryState
  readonly goal: RepositoryState
}

/**
 * Looks at everything that is in the way of putting HEAD, its branch, the index and the stash back, and writes nothing.
 * @param user the repository that is there now
 * @throws `BUSY` when it changes just now, and what `assertRestorable` throws
 */
export async function prepareRepository(
  own: PrivateRepository,
  user: UserRepository,
  stateId: string,
  guardId: string,
): Promise<RepositoryRestore> {
  const goal = loadRepositoryState(own, stateId)
  const now = readRepositoryState(user, null, goal.branch)
  if (now === null) {
    throw new WorkspaceError('BUSY', `The repository of ${user.topLevel} changes just now. Try again.`)
  }
  assertRestorable(user, now, goal)
  const plan = await withoutDangling(own, user, planRepository(now, goal, guardId))
  const notRestored = await findLost(own, user, now, goal, plan)
  const lost = new Set(notRestored.map(({ part }) => part))
  // An index on top of another commit than its own would help nobody.
  if (lost.has('branch') || lost.has('HEAD'))
    for (const part of ['index', 'operation'] as const) {
      if (!plan.restored.includes(part) || lost.has(part)) continue
      lost.add(part)
      notRestored.push({ part, reason: 'HEAD stays where it is' })
    }
  const restored = plan.restored.filter((part) => !lost.has(part))
  const wasInProgress = now.operation === null ? [] : operationsIn(now.operation)
  const report = { ...shownPlan(plan), restored, notRestored, wasInProgress }
  return { plan: { ...plan, restored }, report, now, goal }
}

export const nothingRestored: GitRestore = {
  restored: [],
  notRestored: [],
  safetyRefs: [],
  otherRefs: [],
  wasInProgress: [],
}

/** Carries it out. Each step names the value that it expects, so that what somebody else does meanwhile is not lost. */
export async function restoreRepository(
  own: PrivateRepository,
  user: UserRepository,
  { plan, now, goal }: RepositoryRestore,
): Promise<void> {
  const parts = new Set(plan.restored)
  const git = (args: readonly string[], rest: Partial<GitCall> = {}): Promise<Buffer> =>
    runGit({
      args: ['-c', 'core.logAllRefUpdates=true', ...args],
      cwd: '/',
      configuration: 'private',
      ...rest,
      environment: { GIT_DIR: user.gitDirectory, ...identity, ...rest.environment },
    })
  sweepIndex(user.indexFile)
  const needed = neededObjects(own, user, { now, goal, parts }).all
  await importObjects(own, user, [...needed, ...plan.safetyRefs.map(({ target }) => target)])
  const { safetyRefs } = plan
  await updateRefs(
    git,
    safetyRefs.map(({ name, target }) => `update ${name} ${target}`),
  )
  try {
    await restoreBranch(git, parts, now, goal)
  } catch (error) {
    // Nothing has been taken away yet that they would keep.
    const drops = safetyRefs.map(({ name, target }) => `delete ${name} ${target}`)
    await updateRefs(git, drops).catch(() => undefined)
    throw error
  }
  if (parts.has('HEAD')) {
    if (isDetached(goal)) await git(['update-ref', '--no-deref', '-m', MESSAGE, 'HEAD', goal.head])
    else await git(['symbolic-ref', '-m', MESSAGE, 'HEAD', textOf(refIn(goal.head) ?? '')])
  }
  if (parts.has('index')) {
    if (goal.index === null) removeIndex(user.indexFile)
    else writeIndex(user.indexFile, readStored(own, goal.index.content), goal.index.mtimeNs)
  }
  if (parts.has('stash')) await restoreStash(git, now, goal)
  if (parts.has('operation') && now.operation !== null && goal.operation !== null)
    writeOperation(user.gitDirectory, now.operation, goal.operation)
}

async function restoreBranch(
  git: Git,
  parts: ReadonlySet<string>,
  now: RepositoryState,
  goal: RepositoryState,
): Promise<void> {
  const { branch } = goal
  if (!parts.has('branch') || branch === null) return
  const [target, present] = [goal.refs.get(branch), now.refs.get(branch)]
  const expected = present ?? '0'.repeat(target?.length ?? 40)
  await updateRefs(git, [
    target === undefined ? `delete ${branch} ${expected}` : `update ${branch} ${target} ${expected}`,
  ])
}

/** What a new look finds not to be as it should. */
export function findUnrestored(user: UserRepository, { plan, goal }: RepositoryRestore): string[] {
  const reached = readRepositoryState(user, null, goal.branch)
  if (reached === null) return ['repository']
  const left = new Set(planRepository(reached, goal, '').restored)
  return plan.restored.filter((part) => left.has(part))
}

const MESSAGE = 'rollback: back to a snapshot'
const identity = {
  GIT_COMMITTER_NAME: 'ws',
  GIT_COMMITTER_EMAIL: 'ws@localhost',
}

/** Of a name that is UTF-8; see `findHindrance`. */
function textOf(name: string): string {
  return Buffer.from(name, 'latin1').toString('utf8')
}

type Git = (args: readonly string[], rest?: Partial<GitCall>) => Promise<Buffer>

async function updateRefs(git: Git, commands: readonly string[]): Promise<void> {
  if (commands.length === 0) return
  await git(['update-ref', '-m', MESSAGE, '--stdin'], {
    input: Buffer.from(`${commands.join('\n')}\n`, 'latin1'),
  })
}

async function restoreStash(git: Git, now: RepositoryState, goal: RepositoryState): Promise<void> {
  const [target, present] = [goal.refs.get('refs/stash'), now.refs.get('refs/stash')]
  if (target === undefined && present !== undefined) await updateRefs(git, [`delete refs/stash ${present}`])
  else if (target !== undefined && target !== present) {
    const expected = present ?? '0'.repeat(target.length)
    await updateRefs(git, [`update refs/stash ${target} ${expected}`])
  }
  writeStashLog(now.commonDirectory, goal.stashLog)
}

function neededObjects(
  own: PrivateRepository,
  user: UserRepository,
  {
    now,
    goal,
    parts,
  }: { readonly now: RepositoryState; readonly goal: RepositoryState; readonly parts: ReadonlySet<string> },
): { readonly all: string[]; readonly index: string[] } {
  const commits = new Set<string>()
  const commit = commitOf(goal)
  if (commit !== null) commits.add(commit)
  for (const id of stashIds(goal)) commits.add(id)
  for (const [ref, id] of goal.refs) if (now.refs.get(ref) !== id) commits.add(id)
  for (const id of goal.operation === null ? [] : commitsIn(goal.operation).values()) commits.add(id)
  const bytes = parts.has('index') && goal.index !== null ? readStored(own, goal.index.content) : null
  const staged = bytes === null ? null : parseIndex(bytes, user.format, 0n)
  const index = staged === null ? [] : [...new Set(entriesOf(staged).map(({ id }) => id))]
  return { all: [...commits, ...index], index }
}

/** Where the agent left a ref to an object that is nowhere, there is nothing to keep. */
async function withoutDangling(
  own: PrivateRepository,
  user: UserRepository,
  plan: RepositoryPlan,
): Promise<RepositoryPlan> {
  const targets = plan.safetyRefs.map(({ target }) => target)
  const nowhere = new Set(await importObjects(own, user, targets, { isPreview: true }))
  return { ...plan, safetyRefs: plan.safetyRefs.filter(({ target }) => !nowhere.has(target)) }
}

/** Parts whose objects are nowhere any more, and a branch that something else is in the way of. */
async function findLost(
  own: PrivateRepository,
  user: UserRepository,
  now: RepositoryState,
  goal: RepositoryState,
  plan: RepositoryPlan,
): Promise<{ part: string; reason: string }[]> {
  const lost: { part: string; reason: string }[] = []
  const needed = neededObjects(own, user, { now, goal, parts: new Set(plan.restored) })
  const missing = new Set(await importObjects(own, user, needed.all, { isPreview: true }))
  const commit = commitOf(goal)
  const gone = 'its commits are gone, from the repository and from the state directory'
  if (commit !== null && missing.has(commit)) {
    for (const part of ['HEAD', 'branch'] as const)
      if (plan.restored.includes(part)) lost.push({ part, reason: gone })
  }
  if (plan.restored.includes('stash') && stashIds(goal).some((id) => missing.has(id)))
    lost.push({ part: 'stash', reason: gone })
  if (needed.index.some((id) => missing.has(id)))
    lost.push({ part: 'index', reason: 'files that were staged are gone' })
  if (goal.operation === null || now.operation === null)
    lost.push({ part: 'operation', reason: 'what is in progress is too large or odd to be recorded' })
  if (isDetached(goal) || lost.some(({ part }) => part === 'branch')) return lost
  const reason = findHindrance(user, now, goal)
  if (reason === null) return lost
  for (const part of ['HEAD', 'branch'] as const)
    if (plan.restored.includes(part)) lost.push({ part, reason })
  return lost
}
