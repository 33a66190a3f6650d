import { WorkspaceError } from '../../errors.ts'
import type { ObjectInfo } from '../../store/object-store.ts'
import { forEachConcurrently } from './for-each-concurrently.ts'
import { MAX_RECORD_BYTES } from '../format/version-record.ts'
import { readVersion } from './list-versions.ts'
import { COMMIT_WINDOW_MS, listCondemned, putMark, readMark, readStoreClock } from './pack-safety.ts'
import { keepReplacements, listRepairs } from './repairs.ts'
import { keepReleased } from './remove-versions.ts'
import {
  assertPolicy,
  planRetention,
  type RetainedVersion,
  type RetentionPolicy,
} from './retention-policy.ts'
import { readObject } from './read-object.ts'
import type { Repository } from './repository.ts'
import { scanWorkspaces, type WorkspaceObjects } from './scan-workspaces.ts'
import { effectiveTags, isTagSet } from './tags.ts'
import { isRemovedVersion, REMOVED_VERSION } from './version-number.ts'

export interface PruneOptions {
  /** Only say what would be done; nothing is written. @default false */
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
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/** JSON-safe. */
export interface PruneResult {
  readonly dryRun: boolean
  /** Versions that the policy removed. */
  readonly removed: readonly { readonly workspaceId: string; readonly version: number }[]
  readonly keptVersions: number
  /** Packs that were found to be garbage now; a later call, when the grace time has passed, deletes them. */
  readonly condemned: PackTotal
  /** Packs that were deleted. */
  readonly deleted: PackTotal
  /** Garbage that is left, condemned now or before, or too young. */
  readonly waiting: PackTotal
}

export interface PackTotal {
  readonly packs: number
  readonly bytes: number
}

const DAY_MS = 86_400_000
const LEAST_GRACE_MS = 4 * COMMIT_WINDOW_MS

/**
 * Removes versions by a policy, then packs that no version of any workspace needs. Takes no lock: it may run beside
 * saves, forks, loads, deletes and other prunes, in any process. The argument why no version ever loses a byte is
 * docs/design/prune.md; the idea of marking, waiting and checking again is that of rustic's and kopia's collectors.
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
  const { dryRun = false, exclusive = false, signal } = options
  const graceMs = resolveGrace(options)
  assertPolicy(policy ?? {})
  const now = options.now ?? new Date()
  // Before anything is listed: a mark that is old enough by this time is so by the time of the listing.
  const storeNow = dryRun ? now.getTime() : await readStoreClock(repository, signal)
  // Everything is read before anything is removed: a record that cannot be read must stop all of it.
  const plans: WorkspacePlan[] = []
  for (const workspace of await scanWorkspaces(repository, signal)) {
    const isChosen = options.workspaceId === undefined || options.workspaceId === workspace.workspaceId
    plans.push(await planWorkspace(repository, workspace, { policy: isChosen ? policy : null, now, signal }))
  }
  const seen = new Set(plans.flatMap(({ stays, leaves }) => [...stays, ...leaves]).flatMap(packIds))
  const needed = new Set<string>()
  const removed: { workspaceId: string; version: number }[] = []
  let keptVersions = 0
  for (const { workspace, stays, leaves } of plans) {
    const { workspaceId } = workspace
    const stayed = dryRun ? [] : await removeVersions(repository, workspace, leaves, policy, signal)
    for (const { version } of leaves)
      if (!stayed.some((other) => other.version === version)) removed.push({ workspaceId, version })
    for (const id of [...stays, ...stayed].flatMap(packIds)) needed.add(id)
    keptVersions += stays.length + stayed.length
    if (!dryRun) await removeLeftovers(repository, workspace, storeNow - graceMs, signal)
  }
  const stale = keepReplacements(await listRepairs(repository, signal), needed, exclusive)
  if (exclusive && !dryRun) for (const { key } of stale) await repository.store.delete(key, { signal })
  const collection = { needed, seen, storeNow, graceMs, dryRun, exclusive, signal }
  return { dryRun, removed, keptVersions, ...(await collectGarbage(repository, collection)) }
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
  readonly signal: AbortSignal | undefined
}

async function planWorkspace(
  repository: Repository,
  workspace: WorkspaceObjects,
  { policy, now, signal }: PlanOptions,
): Promise<WorkspacePlan> {
  const versions = await readRetained(repository, workspace, signal)
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
  signal: AbortSignal | undefined,
): Promise<readonly RetainedVersion[]> {
  const retained: RetainedVersion[] = []
  await forEachConcurrently(versions, async ({ version }) => {
    const record = await readVersion(repository, workspaceId, version, signal)
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
 * @returns those that were tagged at the last moment, and so stay
 */
async function removeVersions(
  repository: Repository,
  { workspaceId }: WorkspaceObjects,
  leaving: readonly RetainedVersion[],
  policy: RetentionPolicy | null,
  signal: AbortSignal | undefined,
): Promise<readonly RetainedVersion[]> {
  const packs = new Set(leaving.flatMap(packIds))
  const stayed: RetainedVersion[] = []
  if (leaving.length === 0) return []
  const { store } = repository
  const release = keepReleased(repository, async () => packs, signal)
  for (const leaver of leaving) {
    const key = repository.versionKey(workspaceId, leaver.version)
    const record = await readObject(store, key, MAX_RECORD_BYTES, signal)
    if (record === null || isRemovedVersion(record.bytes.length)) continue
    await release()
    await store.put(key, REMOVED_VERSION, { size: REMOVED_VERSION.length, signal })
    // A tag that was set since the policy was applied: whoever set it has seen the version, or is about to miss it.
    const tags: string[] = []
    for await (const tag of store.list(repository.tagKey(workspaceId, leaver.version, ''), { signal }))
      if (isTagSet(tag.size)) tags.push(tag.key)
    if (tags.some((tagKey) => isNewProtection(tagKey, leaver, policy))) {
      stayed.push(leaver)
      await store.put(key, record.bytes, { size: record.bytes.length, signal })
    } else for (const tagKey of tags) await store.delete(tagKey, { signal })
  }
  return stayed
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
    if (modifiedAt.getTime() < before) await repository.store.delete(key, { signal })
}

interface Collection {
  /** Packs of versions that stay. */
  readonly needed: ReadonlySet<string>
  /** Packs of every version that was there when the workspaces were listed, also of those removed since. */
  readonly seen: ReadonlySet<string>
  readonly storeNow: number
  readonly graceMs: number
  readonly dryRun: boolean
  readonly exclusive: boolean
  readonly signal: AbortSignal | undefined
}

async function collectGarbage(
  repository: Repository,
  { needed, seen, storeNow, graceMs, dryRun, exclusive, signal }: Collection,
): Promise<Pick<PruneResult, 'condemned' | 'deleted' | 'waiting'>> {
  const { store } = repository
  const marks = await listCondemned(repository, signal)
  const condemned = startTotal()
  const deleted = startTotal()
  const waiting = startTotal()
  const prefix = repository.packKey('')
  const isOld = (info: ObjectInfo): boolean => storeNow - info.modifiedAt.getTime() >= graceMs

  for await (const pack of store.list(prefix, { signal })) {
    const id = pack.key.slice(prefix.length)
    const mark = marks.get(id)
    marks.delete(id)
    if (needed.has(id)) {
      if (mark !== undefined && !dryRun) await store.delete(mark.key, { signal })
    } else if (exclusive || (mark !== undefined && isOld(mark) && !seen.has(id))) {
      if (dryRun || (await sweep(repository, id, { storeNow, graceMs, exclusive, signal }))) deleted.add(pack)
      else waiting.add(pack)
    } else {
      waiting.add(pack)
      if (mark !== undefined || !isOld(pack)) continue
      condemned.add(pack)
      if (!dryRun) await putMark(repository, id, { graceMs }, signal)
    }
  }
  // What is left marks no pack: a sweep that was cut off after the pack was deleted.
  for (const [id, mark] of marks) {
    if (dryRun || !isOld(mark) || (await store.head(repository.packKey(id), { signal })) !== null) continue
    await store.delete(mark.key, { signal })
  }
  return { condemned: condemned.total(), deleted: deleted.total(), waiting: waiting.total() }
}

/** Deletes a pack whose mark is still there: whoever needs the pack takes the mark away first. */
async function sweep(
  repository: Repository,
  packId: string,
  { storeNow, graceMs, exclusive, signal }: Pick<Collection, 'storeNow' | 'graceMs' | 'exclusive' | 'signal'>,
): Promise<boolean> {
  const mark = await readMark(repository, packId, signal)
  if (!exclusive) {
    if (mark === null) return false
    const ageMs = storeNow - mark.info.modifiedAt.getTime()
    if (ageMs < graceMs || ageMs < mark.graceMs) return false
  }
  for await (const { key } of repository.store.list(repository.repairKey(packId, ''), { signal }))
    await repository.store.delete(key, { signal })
  await repository.store.delete(repository.packKey(packId), { signal })
  if (mark !== null) await repository.store.delete(repository.condemnedKey(packId), { signal })
  return true
}

function startTotal(): { add(info: ObjectInfo): void; total(): PackTotal } {
  let packs = 0
  let bytes = 0
  return {
    add(info) {
      packs += 1
      bytes += info.size
    },
    total: () => ({ packs, bytes }),
  }
}

function resolveGrace({ graceMs = DAY_MS, listDelayMs = 0, exclusive = false }: PruneOptions): number {
  if (exclusive) return 0
  const least = LEAST_GRACE_MS + 2 * listDelayMs
  if (Number.isFinite(graceMs) && listDelayMs >= 0 && graceMs >= least) return graceMs
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The grace time of prune must be at least ${least} ms, not ${graceMs}: a save beside it could lose content. When nothing else uses the repository, pass exclusive: true instead.`,
    { details: { option: 'graceMs', least } },
  )
}
