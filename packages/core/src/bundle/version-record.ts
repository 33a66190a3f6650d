import { WorkspaceError } from '../errors.ts'
import type { WorkspaceVersion } from './bundle-store.ts'

/** What is stored for a version. Unknown fields are left alone, so that later releases may add some. */
export interface VersionRecord {
  readonly version: WorkspaceVersion
  readonly archiveKey: string
  /** Tells a writer whether a record that is there is the one it wrote. */
  readonly nonce: string
}

/** Far more than a message and metadata need; a store that sends more is not sending a record. */
export const MAX_RECORD_BYTES = 1024 * 1024

export function encodeVersionRecord({ version, archiveKey, nonce }: VersionRecord): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({ format: 'ws-archive-version-1', ...version, archiveKey, nonce }),
  )
}

/** @throws `CORRUPT` naming the key, for anything but a whole record of this workspace and number */
export function decodeVersionRecord(
  bytes: Uint8Array,
  key: string,
  workspaceId: string,
  number: number,
): VersionRecord {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw damaged(key, workspaceId, 'it is not JSON', cause)
  }
  const check = (isRight: boolean, field: string): void => {
    if (!isRight) throw damaged(key, workspaceId, `its "${field}" is not what it should be`)
  }
  check(isObject(value), 'record')
  const record = value as Record<string, unknown>
  const archive = (isObject(record['archive']) ? record['archive'] : {}) as Record<string, unknown>
  const { parent, message, author, metadata, createdAt, archiveKey, nonce } = record
  check(record['format'] === 'ws-archive-version-1', 'format')
  check(record['workspaceId'] === workspaceId, 'workspaceId')
  check(record['version'] === number, 'version')
  check(parent === null || (isCount(parent) && parent >= 1 && parent < number), 'parent')
  check(typeof message === 'string', 'message')
  check(author === null || typeof author === 'string', 'author')
  check(isTextPairs(metadata), 'metadata')
  check(typeof createdAt === 'string' && !Number.isNaN(Date.parse(createdAt)), 'createdAt')
  check(archive['format'] === 'tar.zst' || archive['format'] === 'tar.gz', 'archive.format')
  check(isCount(archive['bytes']), 'archive.bytes')
  check(typeof archive['sha256'] === 'string' && /^[0-9a-f]{64}$/.test(archive['sha256']), 'archive.sha256')
  check(isCount(record['entries']), 'entries')
  check(isCount(record['contentBytes']), 'contentBytes')
  check(typeof nonce === 'string' && nonce !== '', 'nonce')
  check(typeof archiveKey === 'string' && archiveKey.startsWith('archives/'), 'archiveKey')
  const { format, bytes: archiveBytes, sha256 } = archive
  const version = {
    workspaceId,
    version: number,
    parent,
    message,
    author,
    metadata,
    createdAt,
    archive: { format, bytes: archiveBytes, sha256 },
    entries: record['entries'],
    contentBytes: record['contentBytes'],
  } as WorkspaceVersion
  return { version, archiveKey: archiveKey as string, nonce: nonce as string }
}

export function damaged(key: string, workspaceId: string, reason: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError(
    'CORRUPT',
    `The object ${JSON.stringify(key)} of workspace ${JSON.stringify(workspaceId)} is damaged: ${reason}.`,
    { details: { key, workspaceId }, ...(cause === undefined ? {} : { cause }) },
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

export function isTextPairs(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every((each) => typeof each === 'string')
}
