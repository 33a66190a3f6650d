import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from '../store/object-store.ts'
import {
  MAX_RECORD_BYTES,
  damaged,
  decodeVersionRecord,
  encodeVersionRecord,
  type VersionRecord,
} from './version-record.ts'

const ROOT = 'workspaces/'
const LAST_NUMBER = 999_999_999_999_999
const MAX_COMMIT_ATTEMPTS = 3

/**
 * The versions of all workspaces as numbered records, one object each, created only if absent: that one put is the
 * commit, and of two writers of the same number the store lets one through (the idea of Delta Lake's log). Numbers
 * count down in the keys, so the newest record is the first of a list.
 */
export interface VersionLog {
  newest(workspaceId: string, signal?: AbortSignal): Promise<VersionRecord | null>
  read(workspaceId: string, version: number, signal?: AbortSignal): Promise<VersionRecord | null>
  /** Newest first. */
  numbers(workspaceId: string, signal?: AbortSignal): AsyncGenerator<number, void, void>
  /** Every workspace that has a record, in no particular order. */
  workspaceIds(prefix: string, signal?: AbortSignal): AsyncGenerator<string, void, void>
  /**
   * Succeeds exactly once however often the store leaves open whether it took the record.
   * @throws `CONFLICT` when another writer has the number; nothing of this one is there then
   * @throws `UNAVAILABLE` or `TIMEOUT` when it is not known: details hold `committed: "unknown"`
   */
  commit(record: VersionRecord, signal?: AbortSignal): Promise<void>
  remove(workspaceId: string, version: number, signal?: AbortSignal): Promise<void>
}

export function createVersionLog(store: ObjectStore): VersionLog {
  const read: VersionLog['read'] = (workspaceId, version, signal) => {
    return readRecord(store, workspaceId, version, signal)
  }

  async function* numbers(workspaceId: string, signal?: AbortSignal): AsyncGenerator<number, void, void> {
    const prefix = `${ROOT}${workspaceId}/`
    for await (const { key } of store.list(prefix, { signal })) {
      const digits = key.slice(prefix.length)
      if (!/^[0-9]{15}$/.test(digits)) throw damaged(key, workspaceId, 'its name is not that of a version')
      yield LAST_NUMBER - Number(digits)
    }
  }

  async function newest(workspaceId: string, signal?: AbortSignal): Promise<VersionRecord | null> {
    // A record that is listed may be deleted before it is read; then the next one counts.
    for await (const number of numbers(workspaceId, signal)) {
      const record = await read(workspaceId, number, signal)
      if (record !== null) return record
    }
    return null
  }

  /** Whose record is there; null when none. */
  async function isOurs({ version, nonce }: VersionRecord): Promise<boolean | null> {
    const present = await read(version.workspaceId, version.version)
    return present === null ? null : present.nonce === nonce
  }

  async function commit(record: VersionRecord, signal?: AbortSignal): Promise<void> {
    const key = recordKey(record.version.workspaceId, record.version.version)
    const body = encodeVersionRecord(record)
    for (let attempt = 1; ; attempt += 1) {
      try {
        await store.put(key, body, {
          ifAbsent: true,
          size: body.length,
          contentType: 'application/json',
          signal,
        })
        if (store.capabilities.createIfAbsent === 'atomic') return
        if ((await isOurs(record)) === true) return
        throw lostRace(record)
      } catch (error) {
        if (WorkspaceError.is(error, 'CONFLICT')) {
          // An attempt whose answer was lost may be what is in the way.
          if (error.details['winner'] === undefined && (await isOurs(record)) === true) return
          throw lostRace(record, error)
        }
        if (!WorkspaceError.is(error, 'UNAVAILABLE') && !WorkspaceError.is(error, 'TIMEOUT')) throw error
        const ours = await isOurs(record).catch(() => 'unknown' as const)
        if (ours === true) return
        if (ours === false) throw lostRace(record, error)
        if (attempt === MAX_COMMIT_ATTEMPTS) throw unknownOutcome(record, error)
      }
    }
  }

  return {
    newest,
    read,
    numbers,
    workspaceIds: (prefix, signal) => listWorkspaceIds(store, prefix, signal),
    commit,
    async remove(workspaceId, version, signal) {
      await store.delete(recordKey(workspaceId, version), { signal })
    },
  }
}

async function readRecord(
  store: ObjectStore,
  workspaceId: string,
  version: number,
  signal?: AbortSignal,
): Promise<VersionRecord | null> {
  if (!Number.isSafeInteger(version) || version < 1 || version > LAST_NUMBER) {
    throw new WorkspaceError('INVALID_INPUT', `The version ${version} is not usable: versions count from 1.`)
  }
  const key = recordKey(workspaceId, version)
  const object = await store.get(key, { signal })
  if (object === null) return null
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of object.body) {
    bytes += part.length
    if (bytes > MAX_RECORD_BYTES) throw damaged(key, workspaceId, 'it is too long for a version record')
    parts.push(part)
  }
  return decodeVersionRecord(Buffer.concat(parts), key, workspaceId, version)
}

/** One short list for each workspace, whatever the number of its versions. */
async function* listWorkspaceIds(
  store: ObjectStore,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<string, void, void> {
  let startAfter: string | undefined
  for (;;) {
    let found: string | undefined
    for await (const { key } of store.list(`${ROOT}${prefix}`, { signal, startAfter })) {
      found = key.slice(ROOT.length).split('/')[0] ?? ''
      break
    }
    if (found === undefined) return
    yield found
    startAfter = `${ROOT}${found}/~`
  }
}

export function lostRace({ version }: VersionRecord, cause?: unknown): WorkspaceError {
  return conflict(version.workspaceId, version.version, version.parent ?? 0, cause)
}

export function conflict(
  workspaceId: string,
  winner: number,
  expected: number,
  cause?: unknown,
): WorkspaceError {
  return new WorkspaceError(
    'CONFLICT',
    `Workspace ${JSON.stringify(workspaceId)} is at version ${winner}, not at ${expected} any more. Load it, then save again.`,
    { details: { workspaceId, winner, expected }, ...(cause === undefined ? {} : { cause }) },
  )
}

function unknownOutcome({ version }: VersionRecord, cause: WorkspaceError): WorkspaceError {
  return new WorkspaceError(
    cause.code,
    `It is not known whether version ${version.version} of workspace ${JSON.stringify(version.workspaceId)} was saved: the store does not answer. Look at the history before you save again.`,
    { details: { ...cause.details, committed: 'unknown' }, cause },
  )
}

function recordKey(workspaceId: string, version: number): string {
  return `${ROOT}${workspaceId}/${String(LAST_NUMBER - version).padStart(15, '0')}`
}
