import { WorkspaceError } from '../../../errors.ts'
import { compareKeys } from '../../../store/object-key.ts'
import type { ObjectInfo } from '../../../store/object-store.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { readListedVersion, type ListedVersion } from './list-versions.ts'
import { COMMIT_WINDOW_MS } from './pack-safety.ts'
import type { Repository } from './repository.ts'
import { parseInvertedVersion } from './version-number.ts'

/** A record is put only so long after its claim was begun to be put, and again as long is left for that put. */
const FRESH_MS = 20_000
/** A claim that is older was left behind: its writer has put the record, or will not. */
const EXPIRY_MS = 60_000
/** No look that began before the claim's record was put is still under way then. */
const OUTDATED_MS = 2 * COMMIT_WINDOW_MS
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1_000
const MAX_LOOKED_AT = 200
const MAX_REMOVED = 8
const BODY = new Uint8Array([123, 125])

export interface ClaimedVersion {
  readonly workspaceId: string
  readonly version: number
  /** Of the record that is put under the claim; the claim's name begins with it. */
  readonly nonce: string
  /** From 0. Each claim has a name of its own: a late removal of one does not take away the next. @default 0 */
  readonly attempt?: number
}

/**
 * What a writer announces before it puts the record of a version on a store that tests a condition first and then
 * writes. docs/design/commit.md has the argument.
 */
export interface VersionClaim {
  readonly workspaceId: string
  readonly nonce: string
  readonly key: string
  /** What was seen once the claim was in the store. */
  readonly view: Promise<ClaimView>
  /** Whether the record may still be put on the strength of the view. */
  isFresh(): boolean
}

/** A record that has a number, or what retention leaves in the place of one. */
export type TakenNumber = VersionRecord | 'removed'

interface ClaimView {
  /** What has the number already. */
  readonly existing: TakenNumber | null
  /** Keys of the claims of others who may put the record, too; `null` when the listing does not show the claim itself. */
  readonly rivals: readonly string[] | null
  /** Keys of claims that are of no more use to anybody. */
  readonly outdated: readonly string[]
}

/**
 * Announces that the record of a version is about to be put, and looks once that is known.
 * @param look tells what has the number; called when the claim is in the store
 */
export function claimVersion(
  repository: Repository,
  { workspaceId, version, nonce, attempt = 0 }: ClaimedVersion,
  look: () => Promise<TakenNumber | null>,
  signal: AbortSignal | undefined,
): VersionClaim {
  const { store, now } = repository
  const key = repository.claimKey(workspaceId, version, `${nonce}-${attempt}`)
  const since = now()
  const view = async (): Promise<ClaimView> => {
    await store.put(key, BODY, { size: BODY.length, bare: true, signal })
    const [existing, others] = await Promise.all([
      look(),
      lookForOthers(repository, { workspaceId, key, nonce }, signal),
    ])
    return { existing, ...others }
  }
  const seen = view()
  // Looked at by whoever commits; until then a failure must not count as unhandled.
  seen.catch(() => undefined)
  return { workspaceId, nonce, key, view: seen, isFresh: () => now() - since < FRESH_MS }
}

/** For a writer that will put no record. A claim that stays is passed over after its time. */
export async function withdrawClaim({ store }: Repository, { key, view }: VersionClaim): Promise<void> {
  // A put that is still under way would bring it back.
  await view.catch(() => undefined)
  await store.delete(key).catch(() => undefined)
}

/**
 * For a writer that lets others go first and has withdrawn: looks now and then, and claims nothing, so that whoever stays
 * soon finds itself alone. Ends when the number is taken, none of them claims it any more, or they may have died.
 * @param rivals keys of their claims
 * @returns what has the number
 */
export async function waitForRivals(
  repository: Repository,
  { workspaceId, version }: Pick<ClaimedVersion, 'workspaceId' | 'version'>,
  rivals: readonly string[],
  look: () => Promise<TakenNumber | null>,
  signal: AbortSignal | undefined,
): Promise<TakenNumber | null> {
  const { store, now } = repository
  const writers = new Set(rivals.map(writerOf))
  const isClaimed = async (): Promise<boolean> => {
    for await (const { key } of store.list(repository.claimKey(workspaceId, version, ''), { signal }))
      if (writers.has(writerOf(key))) return true
    return false
  }
  const startedAt = now()
  for (let round = 0; now() - startedAt < EXPIRY_MS; round += 1) {
    await pauseBetweenLooks(repository, round, signal)
    const [existing, isWaitedFor] = await Promise.all([look(), isClaimed()])
    if (existing !== null || !isWaitedFor) return existing
  }
  return null
}

/** A claim's key without the number of the attempt. */
function writerOf(key: string): string {
  return key.slice(0, key.lastIndexOf('-'))
}

/** Longer each time. */
export function pauseBetweenLooks(
  { pause }: Repository,
  round: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** round), signal)
}

/** Keys of the claims under which the records of these versions were put: when the records go, nobody needs them. */
export async function findClaimsOf(
  repository: Repository,
  workspaceId: string,
  versions: readonly ListedVersion[],
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  if (repository.store.capabilities.createIfAbsent !== 'checked') return found
  const byNumber = new Map(versions.map((listed) => [listed.version, listed]))
  const prefix = repository.claimsPrefix(workspaceId)
  for await (const { key } of repository.store.list(prefix, { signal })) {
    const [number = '', name = ''] = key.slice(prefix.length).split('/')
    const listed = byNumber.get(parseInvertedVersion(number) ?? 0)
    if (listed === undefined) continue
    const record = await readListedVersion(repository, workspaceId, listed, signal).catch(passOverDamage)
    if (record !== null && name.startsWith(record.nonce)) found.add(key)
  }
  return found
}

function passOverDamage(error: unknown): null {
  if (WorkspaceError.is(error, 'CORRUPT')) return null
  throw error
}

/** Ages are differences of times that the store gave: no clock of a writer counts. */
async function lookForOthers(
  repository: Repository,
  { workspaceId, key: ownKey, nonce }: Pick<VersionClaim, 'workspaceId' | 'key' | 'nonce'>,
  signal: AbortSignal | undefined,
): Promise<Pick<ClaimView, 'rivals' | 'outdated'>> {
  const sameVersion = ownKey.slice(0, ownKey.lastIndexOf('/') + 1)
  const claims: ObjectInfo[] = []
  for await (const claim of repository.store.list(repository.claimsPrefix(workspaceId), { signal })) {
    const isPast = !claim.key.startsWith(sameVersion) && compareKeys(claim.key, sameVersion) > 0
    if (isPast && claims.length >= MAX_LOOKED_AT) break
    claims.push(claim)
  }
  const own = claims.find(({ key }) => key === ownKey)
  if (own === undefined) return { rivals: null, outdated: [] }
  const ageOf = (claim: ObjectInfo): number => own.modifiedAt.getTime() - claim.modifiedAt.getTime()
  const keysOf = (chosen: readonly ObjectInfo[]): string[] => chosen.map(({ key }) => key)
  const isRival = (claim: ObjectInfo): boolean =>
    claim.key.startsWith(sameVersion) &&
    !claim.key.startsWith(sameVersion + nonce) &&
    ageOf(claim) < EXPIRY_MS
  return {
    rivals: keysOf(claims.filter(isRival)),
    outdated: keysOf(claims.filter((claim) => ageOf(claim) > OUTDATED_MS)).slice(-MAX_REMOVED),
  }
}
