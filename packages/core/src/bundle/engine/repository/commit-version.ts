import { WorkspaceError } from '../../../errors.ts'
import { encodeVersionRecord, type VersionRecord } from '../../format/version-record.ts'
import { readNumber, rememberRecord } from './list-versions.ts'
import type { Repository } from './repository.ts'
import {
  claimVersion,
  pauseBetweenLooks,
  waitForRivals,
  withdrawClaim,
  type TakenNumber,
  type VersionClaim,
} from './version-claim.ts'

const PUT_ATTEMPTS = 3
const CLAIM_ROUNDS = 200

/**
 * Makes a version exist: creates its record if there is none under its number. `true` when the record is this one,
 * `false` when another writer has the number, or retention keeps it taken.
 *
 * An answer that leaves open whether the record was put (`UNAVAILABLE`, `TIMEOUT`) is settled by reading it back and
 * comparing nonces, so a version is committed once and success is told once.
 *
 * @param claim made already for this record, on a store that creates `checked`; withdrawn when it comes to nothing
 * @throws `UNSUPPORTED` when the store cannot create an object only if it is absent
 * @throws `UNAVAILABLE`, `TIMEOUT` with details `committed: 'unknown'` when it stays open; the version may exist then
 */
export async function commitVersion(
  repository: Repository,
  record: VersionRecord,
  signal?: AbortSignal,
  claim: VersionClaim | null = null,
): Promise<boolean> {
  const { store } = repository
  switch (store.capabilities.createIfAbsent) {
    case 'atomic':
      return putRecord(repository, record, signal)
    case 'checked':
      return claimAndPut(repository, record, claim, signal)
    case false:
      throw new WorkspaceError(
        'UNSUPPORTED',
        `The store ${store.name} cannot keep versions: it cannot create an object only if it is absent. Use another store.`,
        { details: { store: store.name } },
      )
  }
}

async function putRecord(
  repository: Repository,
  record: VersionRecord,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { store, keys } = repository
  const key = repository.versionKey(record.workspaceId, record.version)
  const bytes = encodeVersionRecord(record, keys)
  for (let attempt = 1; ; attempt += 1) {
    try {
      const info = await store.put(key, bytes, { ifAbsent: true, size: bytes.length, signal })
      rememberRecord(repository, record, info.etag)
      return true
    } catch (error) {
      if (!WorkspaceError.is(error)) throw error
      const isUnclear = error.retryable
      if (!isUnclear && error.code !== 'CONFLICT') throw error
      // A client that repeats its requests may report its own first success as a conflict.
      const stored = await readNumber(repository, record.workspaceId, record.version, signal).catch(
        (readError: unknown) => {
          throw isUnclear && isOutage(readError) ? unclearCommit(error, record) : readError
        },
      )
      if (stored === 'removed') return false
      if (stored !== null) return stored.nonce === record.nonce
      if (!isUnclear) return false
      if (attempt === PUT_ATTEMPTS) throw unclearCommit(error, record)
    }
  }
}

/**
 * For stores that test the condition first and then write, so that racing writers may all be told that they have
 * created the object. A writer claims the version under a key of its own, and puts the record only when a look that
 * began after that shows neither the record nor another claim; of several the one with the lowest nonce stays, the
 * others withdraw and wait for its record. Two can never both see themselves alone: whoever claimed later sees the
 * claim of the other one, which stays when its record is put. (Mutual exclusion by announcement, as in Lamport's bakery
 * algorithm; docs/design/commit.md.)
 */
async function claimAndPut(
  repository: Repository,
  record: VersionRecord,
  early: VersionClaim | null,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { workspaceId, version, nonce } = record
  const look = (): Promise<TakenNumber | null> => readNumber(repository, workspaceId, version, signal)
  let standing: VersionClaim[] = []
  /** The claim that a record may have been put under: whoever looks at the same moment must still find it. */
  let kept: VersionClaim | null = null
  const withdraw = async (): Promise<void> => {
    const leaving = standing.filter((claim) => claim !== kept)
    standing = standing.filter((claim) => claim === kept)
    await Promise.all(leaving.map((claim) => withdrawClaim(repository, claim)))
  }
  const isOwn = (taken: TakenNumber): boolean => {
    const isSame = taken !== 'removed' && taken.nonce === nonce
    if (!isSame) kept = null
    return isSame
  }
  let unclearPuts = 0
  try {
    for (let round = 0; round < CLAIM_ROUNDS; round += 1) {
      const isFirst = round === 0 && early !== null
      const claim = isFirst ? early : claimVersion(repository, { ...record, attempt: round }, look, signal)
      standing.push(claim)
      const { existing, rivals, outdated } = await claim.view
      if (existing !== null) return isOwn(existing)
      if (rivals?.length === 0) {
        if (!claim.isFresh()) continue
        signal?.throwIfAborted()
        const before = kept
        kept = claim
        const outcome = await putClaimed(repository, record, outdated).catch((error: unknown) => {
          if (!isCommitUnclear(error)) kept = before
          throw error
        })
        if (outcome === 'taken') kept = null
        if (typeof outcome === 'string') return outcome === 'own'
        unclearPuts += 1
        if (unclearPuts === PUT_ATTEMPTS) throw unclearCommit(outcome, record)
        continue
      }
      // All of them: one that was left would be waited for by those who are to go first.
      const ahead = rivals?.filter((key) => key < claim.key) ?? []
      if (ahead.length > 0) {
        await withdraw()
        const taken = await waitForRivals(repository, record, ahead, look, signal)
        if (taken !== null) return isOwn(taken)
      } else await pauseBetweenLooks(repository, round, signal)
    }
  } finally {
    await withdraw()
  }
  throw new WorkspaceError(
    'TIMEOUT',
    `Other writers kept version ${version} of ${workspaceId} busy. Nothing was committed; try again.`,
    { details: { workspaceId, version } },
  )
}

/**
 * Puts a record under its claim and reads it back. What is begun is not cancelled: nobody could tell then what became of it.
 * @returns whose record has the number; the error when the store did not say, and shows none
 */
async function putClaimed(
  repository: Repository,
  record: VersionRecord,
  outdated: readonly string[],
): Promise<'own' | 'taken' | WorkspaceError> {
  const { store, keys } = repository
  const key = repository.versionKey(record.workspaceId, record.version)
  const bytes = encodeVersionRecord(record, keys)
  let unclear: WorkspaceError | null = null
  try {
    await store.put(key, bytes, { ifAbsent: true, size: bytes.length, bare: true })
  } catch (error) {
    if (!WorkspaceError.is(error) || !(error.retryable || error.code === 'CONFLICT')) throw error
    unclear = error
  }
  try {
    const [stored] = await Promise.all([
      readNumber(repository, record.workspaceId, record.version),
      ...outdated.map((claimKey) => store.delete(claimKey).catch(() => undefined)),
    ])
    if (stored === 'removed') return 'taken'
    if (stored !== null) return stored.nonce === record.nonce ? 'own' : 'taken'
  } catch (error) {
    if (!WorkspaceError.is(error)) throw error
    // A store that gives back something else than it was sent; under the claim nobody else has put anything.
    if (unclear === null && error.code === 'CORRUPT') await removeDamaged(repository, key, error, record)
    throw unclearCommit(unclear ?? error, record)
  }
  return (
    unclear ??
    new WorkspaceError('UNAVAILABLE', `The store does not show ${key}, which it said to have stored.`)
  )
}

/** @throws `CORRUPT` when the damaged record is gone, so that nothing was committed */
async function removeDamaged(
  { store }: Repository,
  key: string,
  damage: WorkspaceError,
  record: VersionRecord,
): Promise<never> {
  await store.delete(key).catch(() => {
    throw unclearCommit(damage, record)
  })
  throw damage
}

/** Whether an error leaves open if a version was committed. */
export function isCommitUnclear(error: unknown): boolean {
  return WorkspaceError.is(error) && error.details['committed'] === 'unknown'
}

function unclearCommit(error: WorkspaceError, { workspaceId, version }: VersionRecord): WorkspaceError {
  return new WorkspaceError(
    error.code,
    `The store did not say whether version ${version} of ${workspaceId} was committed. Look at the history before you save again.`,
    { cause: error, details: { workspaceId, version, committed: 'unknown' } },
  )
}

function isOutage(error: unknown): boolean {
  return WorkspaceError.is(error) && error.retryable
}
