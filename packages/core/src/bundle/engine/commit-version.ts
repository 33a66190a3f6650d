import { setTimeout as delay } from 'node:timers/promises'
import { WorkspaceError } from '../../errors.ts'
import { encodeVersionRecord, type VersionRecord } from '../format/version-record.ts'
import { readVersion, rememberRecord } from './list-versions.ts'
import type { Repository } from './repository.ts'

const PUT_ATTEMPTS = 3
/** A claim that is older was left behind by a process that died; no put of a record takes so long. */
const CLAIM_EXPIRY_MS = 60_000
const CLAIM_ROUNDS = 200
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1_000

/**
 * Makes a version exist: creates its record if there is none under its number. `true` when the record is this one,
 * `false` when another writer has the number.
 *
 * An answer that leaves open whether the record was put (`UNAVAILABLE`, `TIMEOUT`) is settled by reading it back and
 * comparing nonces, so a version is committed once and success is told once.
 *
 * @throws `UNSUPPORTED` when the store cannot create an object only if it is absent
 * @throws `UNAVAILABLE`, `TIMEOUT` with details `committed: 'unknown'` when it stays open; the version may exist then
 */
export async function commitVersion(
  repository: Repository,
  record: VersionRecord,
  signal?: AbortSignal,
): Promise<boolean> {
  const { store } = repository
  switch (store.capabilities.createIfAbsent) {
    case 'atomic':
      return putRecord(repository, record, signal)
    case 'checked':
      return claimAndPut(repository, record, signal)
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
      const stored = await readVersion(repository, record.workspaceId, record.version, signal).catch(
        (readError: unknown) => {
          throw isUnclear && isOutage(readError) ? unclearCommit(error, record) : readError
        },
      )
      if (stored !== null) return stored.nonce === record.nonce
      if (!isUnclear) return false
      if (attempt === PUT_ATTEMPTS) throw unclearCommit(error, record)
    }
  }
}

/**
 * For stores that test the condition first and then write, so that racing writers may all be told that they have
 * created the object. A writer announces itself under a key of its own, and puts the record only when a listing that
 * was made after that shows nobody else; of several the one with the lowest nonce stays, the others withdraw and wait
 * for its record. Two can never both see themselves alone: the listing of whoever announced itself later shows the
 * other one, or is made after the other's record. (Mutual exclusion by announcement, as in Lamport's bakery algorithm.)
 */
async function claimAndPut(
  repository: Repository,
  record: VersionRecord,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { store } = repository
  const { workspaceId, version, nonce } = record
  const prefix = repository.claimsPrefix(workspaceId, version)
  const ownKey = prefix + nonce
  let announcedAt: Date | null = null
  try {
    for (let round = 0; round < CLAIM_ROUNDS; round += 1) {
      const existing = round === 0 ? null : await readVersion(repository, workspaceId, version, signal)
      if (existing !== null) return existing.nonce === nonce
      announcedAt ??= (await store.put(ownKey, new Uint8Array([123, 125]), { signal })).modifiedAt
      const others: string[] = []
      for await (const claim of store.list(prefix, { signal })) {
        const ageMs = announcedAt.getTime() - claim.modifiedAt.getTime()
        if (claim.key !== ownKey && ageMs < CLAIM_EXPIRY_MS) others.push(claim.key)
      }
      if (others.length === 0) return await putAndReadBack(repository, record, signal)
      if (others.some((key) => key < ownKey)) {
        await store.delete(ownKey, { signal })
        announcedAt = null
      }
      await delay(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** round), undefined, { signal }).catch(() =>
        signal?.throwIfAborted(),
      )
    }
  } finally {
    // A claim that stays is ignored after its time, and collected by prune.
    if (announcedAt !== null) await store.delete(ownKey).catch(() => undefined)
  }
  throw new WorkspaceError(
    'TIMEOUT',
    `Other writers kept version ${version} of ${workspaceId} busy. Nothing was committed; try again.`,
    { details: { workspaceId, version } },
  )
}

async function putAndReadBack(
  repository: Repository,
  record: VersionRecord,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (!(await putRecord(repository, record, signal))) return false
  const stored = await readVersion(repository, record.workspaceId, record.version, signal)
  return stored?.nonce === record.nonce
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
