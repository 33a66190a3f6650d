import { Buffer } from 'node:buffer'
import crypto, { randomBytes } from 'node:crypto'
import { WorkspaceError } from '../../errors.ts'
import { readJson, type JsonReader } from './json-reader.ts'
import {
  createMasterKey,
  deriveRepositoryKeys,
  stretchPassphrase,
  unwrapMasterKey,
  wrapMasterKey,
  type RepositoryKeys,
  type ScryptParameters,
} from './repository-keys.ts'

/** The object that says what a repository is. JSON-safe; holds no secret in the clear. */
export interface FormatMarker {
  readonly format: 'ws-bundles'
  readonly version: 1
  /** 32 hexadecimal digits, random. */
  readonly repository: string
  readonly encryption: MarkerEncryption | null
}

interface MarkerEncryption {
  readonly cipher: 'aes-256-gcm'
  readonly keySource: 'key' | 'scrypt'
  /** `null` when `keySource` is `key`. */
  readonly scrypt: ScryptParameters | null
  /** Base64. */
  readonly wrappedKeys: string
}

/** What a caller opens an encrypted repository with: 32 bytes, or a text that is stretched with scrypt. */
export type KeySource = { readonly key: Uint8Array } | { readonly passphrase: string }

const OBJECT = 'format marker of the repository'

/** What a hostile marker may ask of the machine: 128 MiB of memory and a second or two. */
const MAX_SCRYPT_BYTES = 128 * 1024 * 1024
const MAX_SCRYPT_P = 16

/** The marker and the keys of a new repository. @throws `INVALID_INPUT` for a key that is not 32 bytes */
export async function createFormatMarker(
  source: KeySource | null,
): Promise<{ readonly marker: FormatMarker; readonly keys: RepositoryKeys | null }> {
  const repository = randomBytes(16).toString('hex')
  const base = { format: 'ws-bundles', version: 1, repository } as const
  if (source === null) return { marker: { ...base, encryption: null }, keys: null }
  const scrypt = 'key' in source ? null : { N: 32_768, r: 8, p: 1, salt: randomBytes(32).toString('base64') }
  const masterKey = createMasterKey()
  const wrapped = wrapMasterKey(masterKey, await wrappingKeyOf(source, scrypt), repository)
  const encryption: MarkerEncryption = {
    cipher: 'aes-256-gcm',
    keySource: scrypt === null ? 'key' : 'scrypt',
    scrypt,
    wrappedKeys: Buffer.from(wrapped).toString('base64'),
  }
  return { marker: { ...base, encryption }, keys: deriveRepositoryKeys(masterKey, repository) }
}

/**
 * The keys of an existing one.
 * @throws `ACCESS_DENIED` when the key is not the one; `INVALID_INPUT` when one is missing or not needed
 */
export async function openFormatMarker(
  marker: FormatMarker,
  source: KeySource | null,
): Promise<RepositoryKeys | null> {
  const { encryption, repository } = marker
  if (encryption === null) {
    if (source === null) return null
    throw new WorkspaceError(
      'INVALID_INPUT',
      'A key was given for a repository that is not encrypted. Leave it out, or use another prefix.',
      { details: { repository } },
    )
  }
  const wanted = encryption.keySource === 'key' ? 'key' : 'passphrase'
  if (source === null || !(wanted in source)) {
    throw new WorkspaceError('INVALID_INPUT', `The repository is encrypted: open it with its ${wanted}.`, {
      details: { repository },
    })
  }
  const wrappingKey = await wrappingKeyOf(source, encryption.scrypt)
  const wrapped = Buffer.from(encryption.wrappedKeys, 'base64')
  return deriveRepositoryKeys(unwrapMasterKey(wrapped, wrappingKey, repository), repository)
}

export function encodeFormatMarker(marker: FormatMarker): Buffer {
  return Buffer.from(`${JSON.stringify({ ...orderFields(marker), checksum: checksumOf(marker) })}\n`)
}

/** @throws `CORRUPT`; `UNSUPPORTED` for a higher version */
export function decodeFormatMarker(bytes: Uint8Array): FormatMarker {
  const reader = readJson(bytes, OBJECT)
  reader.field('format').text(/^ws-bundles$/)
  const version = reader.field('version').integer(1)
  if (version !== 1) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The repository is of version ${version}. Use a newer version of @ws/core to read it.`,
      { details: { version } },
    )
  }
  const marker: FormatMarker = {
    format: 'ws-bundles',
    version: 1,
    repository: reader.field('repository').text(/^[0-9a-f]{32}$/),
    encryption: reader.field('encryption').orNull(readEncryption),
  }
  if (reader.field('checksum').text() !== checksumOf(marker)) reader.fail('its checksum does not match')
  return marker
}

/** Against damage only: without it a flipped bit of a salt would look like a wrong passphrase. */
function checksumOf(marker: FormatMarker): string {
  return crypto.hash('sha256', JSON.stringify(orderFields(marker)), 'hex')
}

/** The order that the checksum is over, whatever order the object has. */
function orderFields({ format, version, repository, encryption }: FormatMarker): FormatMarker {
  if (encryption === null) return { format, version, repository, encryption }
  const { cipher, keySource, scrypt, wrappedKeys } = encryption
  const parameters = scrypt === null ? null : { N: scrypt.N, r: scrypt.r, p: scrypt.p, salt: scrypt.salt }
  return { format, version, repository, encryption: { cipher, keySource, scrypt: parameters, wrappedKeys } }
}

function readEncryption(reader: JsonReader): MarkerEncryption {
  const cipher = reader.field('cipher').text()
  const keySource = reader.field('keySource').text()
  if (cipher !== 'aes-256-gcm' || (keySource !== 'key' && keySource !== 'scrypt')) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The repository is encrypted in an unknown way (${cipher}, ${keySource}). Use a newer version of @ws/core.`,
    )
  }
  const scrypt = reader.field('scrypt').orNull(readScrypt)
  if ((scrypt === null) !== (keySource === 'key')) reader.fail('its scrypt parameters do not go with its key')
  return { cipher, keySource, scrypt, wrappedKeys: reader.field('wrappedKeys').text(/^[A-Za-z0-9+/]+=*$/) }
}

function readScrypt(reader: JsonReader): ScryptParameters {
  const N = reader.field('N').integer(2, 2 ** 24)
  const r = reader.field('r').integer(1, 64)
  const p = reader.field('p').integer(1, MAX_SCRYPT_P)
  if ((N & (N - 1)) !== 0 || 128 * N * r > MAX_SCRYPT_BYTES)
    reader.fail('its scrypt parameters are impossible')
  return { N, r, p, salt: reader.field('salt').text(/^[A-Za-z0-9+/]{22,}=*$/) }
}

async function wrappingKeyOf(source: KeySource, scrypt: ScryptParameters | null): Promise<Uint8Array> {
  if ('key' in source) {
    if (source.key instanceof Uint8Array && source.key.length === 32) return source.key
    throw new WorkspaceError('INVALID_INPUT', 'An encryption key must be 32 bytes in a Uint8Array.')
  }
  if (typeof source.passphrase !== 'string' || source.passphrase === '' || scrypt === null) {
    throw new WorkspaceError('INVALID_INPUT', 'A passphrase must be a text that is not empty.')
  }
  return stretchPassphrase(source.passphrase, scrypt)
}
