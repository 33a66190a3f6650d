import { randomBytes } from 'node:crypto'
import { WorkspaceError } from '../../../errors.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { commitVersion, isCommitUnclear } from '../repository/commit-version.ts'
import { earlyClaim, type EarlyClaim } from '../repository/early-claim.ts'
import { findVersion, readNumber, readVersion } from '../repository/list-versions.ts'
import {
  COMMIT_WINDOW_MS,
  leasePacks,
  packsGone,
  securePacks,
  type PackLease,
} from '../repository/pack-safety.ts'
import type { Repository } from '../repository/repository.ts'
import type { SavedTree } from './saved-tree.ts'

export interface SaveVersionOptions {
  readonly workspaceId: string
  readonly message: string
  readonly author: string | null
  readonly metadata: Readonly<Record<string, string>>
  readonly tags: readonly string[]
  /** The version that must be the latest; 0: there must be none. @default whichever is the latest at the start */
  readonly parent?: number | undefined
  /** What to do when another writer was first. @default 'fail' */
  readonly onConflict?: 'fail' | 'rebase' | undefined
  /** @default false */
  readonly template?: boolean | undefined
  /** Puts the content into the store, through the repository that it is given. May be called again. */
  readonly writeTree: (
    parent: VersionRecord | null,
    repository: Repository,
    signal: AbortSignal | undefined,
  ) => Promise<SavedTree>
  /** Gives the time that the version is stamped with, ISO 8601. @default the repository's clock */
  readonly createdAt?: (() => string) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface SavedVersion {
  readonly record: VersionRecord
  readonly tree: SavedTree
  /** The version that the content was compared with: the parent, but for a save that was rebased. */
  readonly base: VersionRecord | null
}

/** A workspace's newest version as it was at a time by the local clock; version 0: there is none. */
export interface Sighting {
  readonly version: number
  readonly record: VersionRecord | null
  readonly at: number
  /** The number for a version after it: retention may keep some taken. */
  readonly next: number
}

const ATTEMPTS = 5

/**
 * Stores content as the next version of a workspace: nothing is overwritten, and of two writers with one parent one
 * gets `CONFLICT` (details: `winner`, the version that was first), or with `onConflict: 'rebase'` becomes the version after it. A
 * rebased version holds what its own directory held: content of the winner is not merged in, it stays in its version.
 *
 * @throws `CONFLICT`, `ACCESS_DENIED` for a template, `UNSUPPORTED`, and what `writeTree` throws
 */
export async function saveVersion(
  repository: Repository,
  options: SaveVersionOptions,
): Promise<SavedVersion> {
  const { workspaceId, onConflict = 'fail', writeTree, signal } = options
  const seen = (): Promise<Sighting> => sightLatest(repository, workspaceId, signal)
  let parent = await seen()
  const expected = options.parent ?? parent.version
  if (expected !== parent.version && onConflict === 'fail')
    throw conflict(workspaceId, expected, parent.version)

  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    refuseTemplate(parent.record)
    const version = parent.next
    const look = () => readNumber(repository, workspaceId, version, signal)
    const claim = earlyClaim(repository, { workspaceId, version }, look, signal)
    const lease = leasePacks(repository, { onLastPack: () => claim.make() })
    const base = parent.record
    let tree: SavedTree
    let outcome: Awaited<ReturnType<typeof commitTree>>
    try {
      tree = await writeTree(base, lease.repository, signal)
      outcome = await commitTree(repository, { options, parent, base, tree, lease, seen, claim })
      if (outcome.record !== null) return { record: outcome.record, tree, base }
      await lease.discard()
    } catch (error) {
      if (!isCommitUnclear(error)) await lease.discard()
      throw error
    } finally {
      await claim.drop()
    }
    // What the tree names is not safe any more (its base version and packs were removed): store it anew.
    if (outcome.latest.version !== parent.version && onConflict === 'fail')
      throw conflict(workspaceId, parent.version, outcome.latest.version)
    parent = outcome.latest
  }
  throw packsGone()
}

export interface CommitTree {
  readonly options: SaveVersionOptions
  readonly parent: Sighting
  readonly base: VersionRecord | null
  readonly tree: SavedTree
  readonly lease: PackLease
  readonly seen: () => Promise<Sighting>
  readonly claim: EarlyClaim
}

/** @returns `record: null` when the packs of the tree cannot be relied on; `latest` is then what to start from */
export async function commitTree(
  repository: Repository,
  { options, parent: first, base, tree, lease, seen, claim }: CommitTree,
): Promise<{ readonly record: VersionRecord | null; readonly latest: Sighting }> {
  const { workspaceId, onConflict = 'fail', signal } = options
  const { now } = repository
  const isStale = (at: number): boolean => now() - at > COMMIT_WINDOW_MS / 2
  let parent = first
  let baseSeenAt = first.at
  const goOnWith = (latest: Sighting): void => {
    const isOther = latest.record?.nonce !== parent.record?.nonce
    if (isOther && onConflict === 'fail') throw conflict(workspaceId, parent.version, latest.version)
    refuseTemplate(latest.record)
    parent = isOther ? latest : { ...latest, next: Math.max(parent.next, latest.next) }
  }
  let racesWithoutWinner = 0
  for (;;) {
    if (isStale(parent.at)) goOnWith(await seen())
    if (parent.record?.nonce === base?.nonce) baseSeenAt = Math.max(baseSeenAt, parent.at)
    else {
      baseSeenAt = now()
      if (!(await isBaseSafe(repository, base, tree, signal))) return { record: null, latest: parent }
    }
    if (!(await lease.renew(signal))) return { record: null, latest: parent }
    if (isStale(parent.at) || isStale(baseSeenAt)) continue
    const checkedAt = Math.min(parent.at, baseSeenAt)
    const { next: version } = parent
    const claimed = claim.take(version)
    const nonce = claimed?.nonce ?? randomBytes(16).toString('hex')
    const record = recordOf(repository, options, { parent: parent.record, version, tree, nonce })
    const isCommitted = await commitVersion(repository, record, signal, claimed).catch((error: unknown) => {
      // The put of the record may have been under way.
      if (signal?.aborted === true) lease.keep()
      throw error
    })
    if (isCommitted) {
      if (now() - checkedAt > COMMIT_WINDOW_MS) await confirmLateCommit(repository, record)
      return { record, latest: parent }
    }
    goOnWith(await sightWinner(repository, workspaceId, version, seen, signal))
    if (parent.next !== version) continue
    racesWithoutWinner += 1
    if (racesWithoutWinner === ATTEMPTS) throw noWinner(workspaceId, version)
  }
}

/** Whether the packs that a tree took over from its base may still be named: the base is there, or they are secured. */
async function isBaseSafe(
  repository: Repository,
  base: VersionRecord | null,
  tree: SavedTree,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (base === null) return true
  const stored = await readVersion(repository, base.workspaceId, base.version, signal)
  if (stored?.nonce === base.nonce) return true
  const own = new Set(tree.newPacks)
  return securePacks(
    repository,
    tree.packs.map(({ id }) => id).filter((id) => !own.has(id)),
    signal,
  )
}

/**
 * For a process that was stopped (a sleeping laptop) between its last look and its commit: what it had looked at may be
 * gone, and then the version must go too.
 */
export async function confirmLateCommit(repository: Repository, record: VersionRecord): Promise<void> {
  const packs = record.packs.map(({ id }) => id)
  if (await securePacks(repository, packs)) return
  await repository.store.delete(repository.versionKey(record.workspaceId, record.version))
  throw packsGone()
}

interface Made {
  readonly parent: VersionRecord | null
  readonly version: number
  readonly tree: SavedTree
  readonly nonce: string
}

function recordOf(
  { now }: Repository,
  options: SaveVersionOptions,
  { parent, version, tree, nonce }: Made,
): VersionRecord {
  const { workspaceId, message, author, metadata, tags, template = false } = options
  return {
    format: 1,
    workspaceId,
    version,
    parent: parent === null ? null : { workspaceId, version: parent.version },
    nonce,
    message,
    author,
    metadata,
    tags: [...new Set(tags)],
    createdAt: options.createdAt?.() ?? new Date(now()).toISOString(),
    template,
    root: tree.root,
    packs: tree.packs,
    stats: tree.stats,
  }
}

export async function sightLatest(
  repository: Repository,
  workspaceId: string,
  signal: AbortSignal | undefined,
): Promise<Sighting> {
  const at = repository.now()
  const record = await findVersion(repository, workspaceId, undefined, signal)
  const version = record?.version ?? 0
  return { version, record, at, next: version + 1 }
}

/**
 * The newest version after a lost race. A listing may be behind, but the record that won is certain. There is none where
 * retention keeps the number taken of a version that somebody else was removing, too.
 */
async function sightWinner(
  repository: Repository,
  workspaceId: string,
  lostVersion: number,
  seen: () => Promise<Sighting>,
  signal: AbortSignal | undefined,
): Promise<Sighting> {
  let latest = await seen()
  for (let version = Math.max(latest.next, lostVersion); ; version += 1) {
    const at = repository.now()
    const found = await readNumber(repository, workspaceId, version, signal)
    if (found === null) return latest
    const next = version + 1
    latest = found === 'removed' ? { ...latest, next } : { version, record: found, at, next }
  }
}

export function refuseTemplate(parent: Pick<VersionRecord, 'workspaceId' | 'template'> | null): void {
  if (parent?.template !== true) return
  throw new WorkspaceError(
    'ACCESS_DENIED',
    `The workspace ${parent.workspaceId} is a template: it can be forked and loaded, not saved to. Save to a fork of it.`,
    { details: { workspaceId: parent.workspaceId } },
  )
}

function noWinner(workspaceId: string, version: number): WorkspaceError {
  return new WorkspaceError(
    'UNAVAILABLE',
    `The store says again and again that version ${version} of ${workspaceId} exists, and does not show it. Nothing was saved; try again later, or check the store.`,
    { details: { workspaceId, version } },
  )
}

function conflict(workspaceId: string, expected: number, version: number): WorkspaceError {
  const instead = version === 0 ? 'there is none' : `it is ${version}`
  return new WorkspaceError(
    'CONFLICT',
    `Cannot save ${workspaceId}: its latest version should be ${expected}, but ${instead}. Load it, or save with onConflict: 'rebase'.`,
    { details: { workspaceId, expected, winner: version } },
  )
}
