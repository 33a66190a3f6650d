import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { WorkspaceError } from '../../errors.ts'
import { contentIdOf, isContentId, type ContentId } from './content-id.ts'
import { damagedObject } from './damaged-object.ts'
import { readJson, type JsonReader } from './json-reader.ts'
import type { RepositoryKeys } from './repository-keys.ts'

/** Everything to know about one saved state. JSON-safe. */
export interface VersionRecord {
  readonly format: 1
  readonly workspaceId: string
  /** From 1. */
  readonly version: number
  readonly parent: VersionReference | null
  /** 32 hexadecimal digits, random: tells whose record it is after an unclear answer. */
  readonly nonce: string
  readonly message: string
  readonly author: string | null
  readonly metadata: Readonly<Record<string, string>>
  /** Given with the save. Tags set later are objects of their own. */
  readonly tags: readonly string[]
  /** ISO 8601, UTC. */
  readonly createdAt: string
  /** The workspace is to be forked from; nothing is saved on top of this version. */
  readonly template: boolean
  readonly root: VersionRoot
  /** Every pack that holds something of this version. */
  readonly packs: readonly PackReference[]
  readonly stats: VersionStats
}

export interface VersionReference {
  readonly workspaceId: string
  readonly version: number
}

export interface VersionRoot {
  readonly node: ContentId
  readonly mode: number
  readonly mtimeSeconds: number
  readonly mtimeNanoseconds: number
}

export interface PackReference {
  /** 32 hexadecimal digits. */
  readonly id: string
  /** Of the object. */
  readonly bytes: number
  /** From the index frame to the object's end, so that one ranged read brings the index. */
  readonly indexBytes: number
}

export interface VersionStats {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  readonly contentBytes: number
}

const SEALED_MAGIC = Buffer.from('WSVER1\n\0', 'latin1')
const NONCE_BYTES = 12
const TAG_BYTES = 16
const SEAL_BYTES = SEALED_MAGIC.length + NONCE_BYTES + TAG_BYTES
/** Room for 400,000 packs. A larger object is not parsed. */
export const MAX_RECORD_BYTES = 32 * 1024 * 1024

/** @throws `QUOTA_EXCEEDED` for a record that no reader would take */
export function encodeVersionRecord(record: VersionRecord, keys: RepositoryKeys | null): Buffer {
  const fields = orderFields(record)
  const checksum = contentIdOf(Buffer.from(JSON.stringify(fields)), keys)
  const json = Buffer.from(JSON.stringify({ ...fields, checksum }))
  if (json.length > MAX_RECORD_BYTES - SEAL_BYTES) throw tooLarge(record, json.length)
  if (keys === null) return json
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', keys.records, nonce)
  cipher.setAAD(sealContext(record))
  return Buffer.concat([SEALED_MAGIC, nonce, cipher.update(json), cipher.final(), cipher.getAuthTag()])
}

/**
 * @param expected what the object's key says; a record that says otherwise was put there by somebody else
 * @throws `CORRUPT`; `UNSUPPORTED` for a higher format
 */
export function decodeVersionRecord(
  bytes: Uint8Array,
  expected: VersionReference,
  keys: RepositoryKeys | null,
): VersionRecord {
  const name = `version record ${expected.version} of ${JSON.stringify(expected.workspaceId)}`
  if (bytes.length > MAX_RECORD_BYTES) throw damagedObject(name, `it is ${bytes.length} bytes long`)
  const stored = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const json = keys === null ? stored : unseal(stored, expected, keys, name)
  const reader = readJson(json, name)
  const format = reader.field('format').integer(1)
  if (format !== 1) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The ${name} has format ${format}. Use a newer version of @ws/core.`,
    )
  }
  const record = readRecord(reader)
  const checksum = contentIdOf(Buffer.from(JSON.stringify(record)), keys)
  if (reader.field('checksum').text() !== checksum) reader.fail('its checksum does not match')
  if (record.workspaceId !== expected.workspaceId || record.version !== expected.version) {
    reader.fail(`it is that of version ${record.version} of ${JSON.stringify(record.workspaceId)}`)
  }
  return record
}

function tooLarge({ workspaceId, packs }: VersionRecord, bytes: number): WorkspaceError {
  return new WorkspaceError(
    'QUOTA_EXCEEDED',
    `The version of ${workspaceId} needs ${packs.length} packs and a record of ${bytes} bytes; at most ${MAX_RECORD_BYTES} are read. Save less in one workspace.`,
    { details: { workspaceId, bytes } },
  )
}

function unseal(stored: Buffer, expected: VersionReference, keys: RepositoryKeys, name: string): Buffer {
  const start = SEALED_MAGIC.length
  try {
    if (!stored.subarray(0, start).equals(SEALED_MAGIC)) throw new Error('the record is not sealed')
    const nonce = stored.subarray(start, start + NONCE_BYTES)
    const decipher = createDecipheriv('aes-256-gcm', keys.records, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(sealContext(expected))
    decipher.setAuthTag(stored.subarray(-TAG_BYTES))
    const body = stored.subarray(start + NONCE_BYTES, -TAG_BYTES)
    return Buffer.concat([decipher.update(body), decipher.final()])
  } catch (error) {
    throw damagedObject(name, 'it does not decrypt', error)
  }
}

function sealContext(reference: VersionReference): Buffer {
  return Buffer.from(`ws-version-1\n${reference.workspaceId}\n${reference.version}`)
}

function readRecord(reader: JsonReader): VersionRecord {
  const root = reader.field('root')
  const stats = reader.field('stats')
  return {
    format: 1,
    workspaceId: reader.field('workspaceId').text(),
    version: reader.field('version').integer(1),
    parent: reader.field('parent').orNull((parent) => ({
      workspaceId: parent.field('workspaceId').text(),
      version: parent.field('version').integer(1),
    })),
    nonce: reader.field('nonce').text(/^[0-9a-f]{32}$/),
    message: reader.field('message').text(),
    author: reader.field('author').orNull((author) => author.text()),
    metadata: reader.field('metadata').texts(),
    tags: reader.field('tags').list((tag) => tag.text()),
    createdAt: reader.field('createdAt').text(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    template: reader.field('template').boolean(),
    root: {
      node: contentIdField(root.field('node')),
      mode: root.field('mode').integer(0, 0o7777),
      mtimeSeconds: root.field('mtimeSeconds').integer(Number.MIN_SAFE_INTEGER),
      mtimeNanoseconds: root.field('mtimeNanoseconds').integer(0, 999_999_999),
    },
    packs: reader.field('packs').list((pack) => ({
      id: pack.field('id').text(/^[0-9a-f]{32}$/),
      bytes: pack.field('bytes').integer(0),
      indexBytes: pack.field('indexBytes').integer(0),
    })),
    stats: {
      files: stats.field('files').integer(0),
      directories: stats.field('directories').integer(0),
      symlinks: stats.field('symlinks').integer(0),
      contentBytes: stats.field('contentBytes').integer(0),
    },
  }
}

function contentIdField(field: JsonReader): ContentId {
  const text = field.text()
  return isContentId(text) ? text : field.fail('the root is not a content id')
}

/** The order of keys that the checksum is over, whatever order the caller's object has. */
function orderFields(record: VersionRecord): VersionRecord {
  const { workspaceId, version, parent, nonce, message, author, metadata, tags, createdAt } = record
  const { template, root, packs, stats } = record
  return {
    format: 1,
    workspaceId,
    version,
    parent: parent === null ? null : { workspaceId: parent.workspaceId, version: parent.version },
    nonce,
    message,
    author,
    metadata: sortKeys(metadata),
    tags: [...tags],
    createdAt,
    template,
    root: {
      node: root.node,
      mode: root.mode,
      mtimeSeconds: root.mtimeSeconds,
      mtimeNanoseconds: root.mtimeNanoseconds,
    },
    packs: packs.map(({ id, bytes, indexBytes }) => ({ id, bytes, indexBytes })),
    stats: {
      files: stats.files,
      directories: stats.directories,
      symlinks: stats.symlinks,
      contentBytes: stats.contentBytes,
    },
  }
}

function sortKeys(pairs: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(pairs).sort(([left], [right]) => (left < right ? -1 : 1)))
}
