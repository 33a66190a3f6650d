import { describeValue } from '../../../describe-value.ts'
import { WorkspaceError } from '../../../errors.ts'
import { collectGarbage, type CollectedGarbage } from './collect-garbage.ts'
import { deleteUnlocked, isRefusal } from '../repository/delete-unlocked.ts'
import { forEachConcurrently } from '../repository/for-each-concurrently.ts'
import { readRecord, readVersion } from '../repository/list-versions.ts'
import { COMMIT_WINDOW_MS, readStoreClock } from '../repository/pack-safety.ts'
import { keepReplacements, listRepairs } from '../repository/repairs.ts'
import { keepReleased } from './remove-versions.ts'
import {
  assertPolicy,
  planRetention,
  type RetainedVersion,
  type RetentionPolicy,
} from './retention-policy.ts'
import type { Repository } from '../repository/repository.ts'
import { scanWorkspaces, type WorkspaceObjects } from '../repository/scan-workspaces.ts'
import { effectiveTags, isTagSet } from '../repository/tags.ts'
import { REMOVED_VERSION } from '../repository/version-number.ts'

export interface PruneOptions {
  /** Only say what would be done; nothing is written. Garbage is as old then as the local clock says. @default false */
  readonly dryRun?: boolean | undefined
  /** Whose versions the policy is applied to. Garbage is looked for in the whole repository. @default every workspace */
  readonly workspaceId?: string | undefined
  /**
   * How long a pack must have been garbage, as told by two calls of prune, before it is deleted, in milliseconds. Saves,
   * forks and loads may run meanwhile. At least 1 hour plus twice `listDelayMs`. @default 86_400_000
   */
  readonly graceMs?: number | undefined
  /** For a store whose listings may be behind: by how much at most, in milliseconds. @default 0 */
  readonly listDelayMs?: number | undefined
  /**
   * The caller knows that nothing else uses the repository until this returns: garbage is deleted at once.
   * With a save, fork or load beside it, versions may lose content. @default false
   */
  readonly exclusive?: boolean | undefined
  /** The time that ages of versions are told from. @default the present */
  readonly now?: Date | undefined
  /** @default nobody is told */
  readonly onProgress?: ((progress: PruneProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/** JSON-safe. How far a prune is: `read`, records of versions; `remove`, versions; `collect`, packs that it looked at. */
export interface PruneProgress {
  readonly phase: 'read' | 'remove' | 'collect'
  readonly done: number
  /** `null` while it is not known. */
  readonly expected: number | null
}

/** JSON-safe. */
export interface PruneResult extends CollectedGarbage {
  readonly dryRun: boolean
  /** Versions that the policy removed. */
  readonly removed: readonly { readonly workspaceId: string; readonly version: number }[]
  /** Versions that stay although the policy removes them, because the store does not let their records be replaced. */
  readonly lockedVersions: readonly { readonly workspaceId: string; readonly version: number }[]
  readonly keptVersions: number
}

const DAY_MS = 86_400_000
const LEAST_GRACE_MS = 4 * COMMIT_WINDOW_MS

/**
 * Removes versions by a policy, then packs that no version of any workspace needs. Takes no lock: it may run beside
 * saves, forks, loads, deletes and other prunes, in any process. The argument why no version ever loses a byte is
 * docs/design/prune.md; the idea of marking, waiting and checking again is that of rustic's and kopia's collectors.
 *
 * What the store does not let go, under a retention or a hold, stays whole and is counted in the result; the rest goes.
 *
 * @param policy `null`: only the garbage
 * @throws `CORRUPT` for a record that cannot be read: nobody knows which packs it needs, so nothing is removed at all
 * @throws `INVALID_INPUT`
 */
export async function prune(
  repository: Repository,
  policy: RetentionPolicy | null,
  options: PruneOptions = {},
): Promise<PruneResult> {
  const { dryRun = false, exclusive = false, onProgress, signal } = options
  const graceMs = resolveGrace(options)
  assertPolicy(policy ?? {})
  const now = options.now ?? new Date()
  // Before anything is listed: a mark that is old enough by this time is so by the time of the listing.
  const storeNow = dryRun ? repository.now() : await readStoreClock(repository, signal)
  // Everything is read before anything is removed: a record that cannot be read must stop all of it.
  const plans: WorkspacePlan[] = []
  const workspaces = await scanWorkspaces(repository, signal)
  const listed = workspaces.reduce((total, { versions }) => total + versions.length, 0)
  const onRead = countTo(listed, 'read', onProgress)
  for (const workspace of workspaces) {
    const isChosen = options.workspaceId === undefined || options.workspaceId === workspace.workspaceId
    plans.push(
      await planWorkspace(repository, workspace, { policy: isChosen ? policy : null, now, onRead, signal }),
    )
  }
  const seen = new Set(plans.flatMap(({ stays, leaves }) => [...stays, ...leaves]).flatMap(packIds))
  const needed = new Set<string>()
  const removed: { workspaceId: string; version: number }[] = []
  const lockedVersions: { workspaceId: string; version: number }[] = []
  let keptVersions = 0
  const leaving = plans.reduce((total, { leaves }) => total + leaves.length, 0)
  const onRemoved = countTo(leaving, 'remove', onProgress)
  for (const { workspace, stays, leaves } of plans) {
    const { workspaceId } = workspace
    const { stayed, locked } = dryRun
      ? { stayed: [], locked: [] }
      : await removeVersions(repository, workspace, leaves, { policy, onRemoved, signal })
    for (const version of locked) lockedVersions.push({ workspaceId, version })
    for (const { version } of leaves)
      if (!stayed.some((other) => other.version === version)) removed.push({ workspaceId, version })
    for (const id of [...stays, ...stayed].flatMap(packIds)) needed.add(id)
    keptVersions += stays.length + stayed.length
    if (!dryRun) await removeLeftovers(repository, workspace, storeNow - graceMs, signal)
  }
  const stale = keepReplacements(await listRepairs(repository, signal), needed, exclusive)
  if (exclusive && !dryRun) for (const { key } of stale) await deleteUnlocked(repository, key, signal)
  const onLooked = countTo(null, 'collect', onProgress)
  const collection = { needed, seen, storeNow, graceMs, dryRun, exclusive, onLooked, signal }
  return { dryRun, removed, lockedVersions, keptVersions, ...(await collectGarbage(repository, collection)) }
}

function countTo(
  expected: number | null,
  phase: PruneProgress['phase'],
  onProgress: PruneOptions['onProgress'],
): () => void {
  let done = 0
  return () => {
    done += 1
    onProgress?.({ phase, done, expected })
  }
}

interface WorkspacePlan {
  readonly workspace: WorkspaceObjects
  readonly stays: readonly RetainedVersion[]
  /** Oldest first. */
  readonly leaves: readonly RetainedVersion[]
}

interface PlanOptions {
  readonly policy: RetentionPolicy | null
  readonly now: Date
  /** Called after each record. */
  readonly onRead: () => void
  readonly signal: AbortSignal | undefined
}

async function planWorkspace(
  repository: Repository,
  workspace: WorkspaceObjects,
  { policy, now, onRead, signal }: PlanOptions,
): Promise<WorkspacePlan> {
  const versions = await readRetained(repository, workspace, { onRead, signal })
  const goes = new Set(policy === null ? [] : planRetention(versions, policy, now).remove)
  return {
    workspace,
    stays: versions.filter(({ version }) => !goes.has(version)),
    leaves: versions
      .filter(({ version }) => goes.has(version))
      .sort((left, right) => left.version - right.version),
  }
}

function packIds(version: RetainedVersion): readonly string[] {
  return version.packs.map(({ id }) => id)
}

async function readRetained(
  repository: Repository,
  { workspaceId, versions, tagChanges }: WorkspaceObjects,
  { onRead, signal }: Pick<PlanOptions, 'onRead' | 'signal'>,
): Promise<readonly RetainedVersion[]> {
  const retained: RetainedVersion[] = []
  await forEachConcurrently(versions, async ({ version }) => {
    const record = await readVersion(repository, workspaceId, version, signal)
    onRead()
    // Deleted since it was listed.
    if (record === null) return
    const { createdAt, packs } = record
    retained.push({ version, createdAt, packs, tags: effectiveTags(record, tagChanges.get(version)) })
  })
  return retained
}

/**
 * Puts `REMOVED_VERSION` in the place of each record. The number stays taken for the grace time, so that a writer that
 * saw the version before it as the latest cannot slip in below versions that were saved since.
 * @returns those that stay: tagged at the last moment, or locked by the store
 */
async function removeVersions(
  repository: Repository,
  { workspaceId }: WorkspaceObjects,
  leaving: readonly RetainedVersion[],
  { policy, onRemoved, signal }: Pick<PlanOptions, 'policy' | 'signal'> & { readonly onRemoved: () => void },
): Promise<{ readonly stayed: readonly RetainedVersion[]; readonly locked: readonly number[] }> {
  const packs = new Set(leaving.flatMap(packIds))
  const stayed: RetainedVersion[] = []
  const locked: number[] = []
  const { store } = repository
  const release = keepReleased(repository, async () => packs, signal)
  for (const leaver of leaving) {
    onRemoved()
    const key = repository.versionKey(workspaceId, leaver.version)
    // It may be put back as it was read.
    const found = await readRecord(repository, workspaceId, leaver.version, signal)
    if (found === null || found.record === 'removed') continue
    await release()
    try {
      await store.put(key, REMOVED_VERSION, { size: REMOVED_VERSION.length, signal })
    } catch (error) {
      if (!isRefusal(error)) throw error
      stayed.push(leaver)
      locked.push(leaver.version)
      continue
    }
    // A tag that was set since the policy was applied: whoever set it has seen the version, or is about to miss it.
    const tags: string[] = []
    for await (const tag of store.list(repository.tagKey(workspaceId, leaver.version, ''), { signal }))
      if (isTagSet(tag.size)) tags.push(tag.key)
    if (tags.some((tagKey) => isNewProtection(tagKey, leaver, policy))) {
      stayed.push(leaver)
      await store.put(key, found.bytes, { size: found.bytes.length, signal })
    } else for (const tagKey of tags) await deleteUnlocked(repository, tagKey, signal)
  }
  return { stayed, locked }
}

function isNewProtection(tagKey: string, { tags }: RetainedVersion, policy: RetentionPolicy | null): boolean {
  const { keepTagged = true } = policy ?? {}
  const tag = tagKey.slice(tagKey.lastIndexOf('/') + 1)
  if (tags.includes(tag)) return false
  return typeof keepTagged === 'boolean' ? keepTagged : keepTagged.includes(tag)
}

async function removeLeftovers(
  repository: Repository,
  { leftovers }: WorkspaceObjects,
  before: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const { key, modifiedAt } of leftovers)
    if (modifiedAt.getTime() < before) await deleteUnlocked(repository, key, signal)
}

function resolveGrace({ graceMs = DAY_MS, listDelayMs = 0, exclusive = false }: PruneOptions): number {
  if (exclusive) return 0
  const least = LEAST_GRACE_MS + 2 * listDelayMs
  if (Number.isFinite(graceMs) && listDelayMs >= 0 && graceMs >= least) return graceMs
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The grace time of prune must be at least ${least} ms, not ${describeValue(graceMs)}: a save beside it could lose content. When nothing else uses the repository, pass exclusive: true instead.`,
    { details: { option: 'graceMs', least } },
  )
}
