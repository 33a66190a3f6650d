import { Buffer } from 'node:buffer'
import { describeValue } from '../../../describe-value.ts'
import { WorkspaceError } from '../../../errors.ts'
import type { ObjectInfo } from '../../../store/object-store.ts'
import { MAX_RECORD_BYTES, decodeVersionRecord, type VersionRecord } from '../../format/version-record.ts'
import { readObject } from './read-object.ts'
import { readTwice } from './read-twice.ts'
import type { Repository, RepositoryLayout } from './repository.ts'
import { isRemovedVersion, parseVersionPath, REMOVED_VERSION } from './version-number.ts'

/** A version that a listing shows, without what its record says. */
export interface ListedVersion {
  readonly version: number
  readonly info: ObjectInfo
}

/** A record and the etag of its object. */
export interface ObservedVersion {
  readonly record: VersionRecord
  readonly etag: string
}

const READ_AHEAD = 8
const REMEMBERED_RECORDS = 64

/** Records never change, so one that was read or written is not read again while a listing shows its etag. */
const remembered = new WeakMap<Repository, Map<string, ObservedVersion>>()

/**
 * Versions of a workspace from its listing, newest first. What retention has removed is left out.
 * @param below only versions with smaller numbers
 */
export async function* listVersions(
  repository: RepositoryLayout,
  workspaceId: string,
  options: { readonly below?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<ListedVersion, void, void> {
  const { below, signal } = options
  const prefix = repository.versionsPrefix(workspaceId)
  const startAfter = below === undefined ? undefined : repository.versionKey(workspaceId, below)
  for await (const info of repository.store.list(prefix, { startAfter, signal })) {
    const version = parseVersionPath(info.key.slice(prefix.length))
    if (version !== null && !isRemovedVersion(info.size)) yield { version, info }
  }
}

/** The newest version, by one listing. */
export async function findLatestVersion(
  repository: RepositoryLayout,
  workspaceId: string,
  signal?: AbortSignal,
): Promise<ListedVersion | null> {
  for await (const listed of listVersions(repository, workspaceId, { signal })) return listed
  return null
}

/** The record of one version, `null` when there is none (any more). */
export async function readVersion(
  repository: Repository,
  workspaceId: string,
  version: number,
  signal?: AbortSignal,
): Promise<VersionRecord | null> {
  const found = await readNumber(repository, workspaceId, version, signal)
  return found === 'removed' ? null : found
}

/** What has a version's number: a record, what retention leaves in the place of one, or nothing. */
export async function readNumber(
  repository: Repository,
  workspaceId: string,
  version: number,
  signal?: AbortSignal,
): Promise<VersionRecord | 'removed' | null> {
  const found = await readRecord(repository, workspaceId, version, signal)
  return found === null ? null : found.record
}

/** The same with its bytes, which are what was written. */
export async function readRecord(
  repository: Repository,
  workspaceId: string,
  version: number,
  signal?: AbortSignal,
): Promise<{ readonly record: VersionRecord | 'removed'; readonly bytes: Uint8Array } | null> {
  assertVersionNumber(version)
  const key = repository.versionKey(workspaceId, version)
  return readTwice(async () => {
    const found = await readObject(repository.store, key, MAX_RECORD_BYTES, signal)
    if (found === null) return null
    const { bytes, info } = found
    if (Buffer.compare(bytes, REMOVED_VERSION) === 0) return { record: 'removed', bytes }
    const record = decodeRecord(repository, workspaceId, version, bytes)
    rememberRecord(repository, record, info.etag)
    return { record, bytes }
  })
}

function decodeRecord(
  repository: Repository,
  workspaceId: string,
  version: number,
  bytes: Uint8Array,
): VersionRecord {
  try {
    return decodeVersionRecord(bytes, { workspaceId, version }, repository.keys)
  } catch (error) {
    if (!WorkspaceError.is(error)) throw error
    const key = repository.versionKey(workspaceId, version)
    const details = { ...error.details, key, workspaceId, version }
    throw new WorkspaceError(error.code, error.message, { cause: error.cause ?? error, details })
  }
}

/** The same for a version that a listing shows: without a read when it is known. */
export async function readListedVersion(
  repository: Repository,
  workspaceId: string,
  listed: ListedVersion,
  signal?: AbortSignal,
): Promise<VersionRecord | null> {
  const known = remembered.get(repository)?.get(listed.info.key)
  if (known?.etag === listed.info.etag) return known.record
  return readVersion(repository, workspaceId, listed.version, signal)
}

export function rememberRecord(repository: Repository, record: VersionRecord, etag: string): void {
  const records = remembered.get(repository) ?? new Map<string, ObservedVersion>()
  remembered.set(repository, records)
  const key = repository.versionKey(record.workspaceId, record.version)
  records.delete(key)
  records.set(key, { etag, record })
  const [oldest] = records.keys()
  if (records.size > REMEMBERED_RECORDS && oldest !== undefined) records.delete(oldest)
}

/** A record as it was read or written not long ago, with its etag. */
export function recallRecord(repository: Repository, record: VersionRecord): ObservedVersion | null {
  const key = repository.versionKey(record.workspaceId, record.version)
  const known = remembered.get(repository)?.get(key)
  return known?.record.nonce === record.nonce ? known : null
}

/**
 * The record of a version, or of the newest one.
 * @param latest the newest one, if it was looked for just now
 * @returns `null` when there is none
 */
export async function findVersion(
  repository: Repository,
  workspaceId: string,
  version: number | undefined,
  signal?: AbortSignal,
  latest?: ListedVersion | null,
): Promise<VersionRecord | null> {
  if (version !== undefined) return readVersion(repository, workspaceId, version, signal)
  if (latest === null) return null
  const newest =
    latest === undefined ? null : await readListedVersion(repository, workspaceId, latest, signal)
  if (newest !== null) return newest
  for await (const listed of listVersions(repository, workspaceId, { signal })) {
    const record = await readListedVersion(repository, workspaceId, listed, signal)
    // Deleted since it was listed: the next one is the newest.
    if (record !== null) return record
  }
  return null
}

/** Records of a workspace, newest first; a few are read ahead. */
export async function* readHistory(
  repository: Repository,
  workspaceId: string,
  signal?: AbortSignal,
): AsyncGenerator<VersionRecord, void, void> {
  const ahead: Promise<VersionRecord | null>[] = []
  const listing = listVersions(repository, workspaceId, { signal })
  try {
    for await (const listed of listing) {
      const reading = readListedVersion(repository, workspaceId, listed, signal)
      // Looked at when it is this one's turn; until then a failure must not count as unhandled.
      reading.catch(() => undefined)
      ahead.push(reading)
      if (ahead.length < READ_AHEAD) continue
      const record = await ahead.shift()
      if (record) yield record
    }
    for (const reading of ahead) {
      const record = await reading
      if (record !== null) yield record
    }
  } finally {
    await listing.return()
  }
}

/** @throws `INVALID_INPUT` */
export function assertVersionNumber(version: number): void {
  if (Number.isSafeInteger(version) && version >= 1 && version < 9_999_999_999) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `A version is a whole number from 1, not ${describeValue(version)}.`,
    {
      details: { option: 'version' },
    },
  )
}
