import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, scrypt } from 'node:crypto'
import { WorkspaceError } from '../../errors.ts'

/** What an encrypted repository is read and written with: 32 bytes each. Plain data, so threads can be given it. */
export interface RepositoryKeys {
  /** For HMAC-SHA-256 content ids. */
  readonly contentId: Uint8Array
  /** For the table by which files are cut. */
  readonly chunker: Uint8Array
  /** For AES-256-GCM frames in packs. */
  readonly frames: Uint8Array
  /** For AES-256-GCM version records. */
  readonly records: Uint8Array
}

export interface ScryptParameters {
  readonly N: number
  readonly r: number
  readonly p: number
  /** Base64 of at least 16 bytes. */
  readonly salt: string
}

const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

export function createMasterKey(): Uint8Array {
  return randomBytes(KEY_BYTES)
}

/** HKDF-SHA-256 (RFC 5869) with the repository's id as salt, so that two repositories under one key share nothing. */
export function deriveRepositoryKeys(masterKey: Uint8Array, repositoryId: string): RepositoryKeys {
  const derive = (purpose: string): Uint8Array =>
    new Uint8Array(
      hkdfSync('sha256', masterKey, Buffer.from(repositoryId, 'hex'), `ws-bundles-1 ${purpose}`, KEY_BYTES),
    )
  return {
    contentId: derive('content ids'),
    chunker: derive('chunker'),
    frames: derive('frames'),
    records: derive('records'),
  }
}

/** scrypt (RFC 7914), on the thread pool. */
export async function stretchPassphrase(
  passphrase: string,
  parameters: ScryptParameters,
): Promise<Uint8Array> {
  const { N, r, p } = parameters
  const salt = Buffer.from(parameters.salt, 'base64')
  return new Promise((resolve, reject) => {
    const text = passphrase.normalize('NFC')
    scrypt(text, salt, KEY_BYTES, { N, r, p, maxmem: 256 * N * r }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })
}

/** Seals the master key under the caller's key or the stretched passphrase: nonce, ciphertext, tag. */
export function wrapMasterKey(
  masterKey: Uint8Array,
  wrappingKey: Uint8Array,
  repositoryId: string,
): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', wrappingKey, nonce)
  cipher.setAAD(wrapContext(repositoryId))
  return Buffer.concat([nonce, cipher.update(masterKey), cipher.final(), cipher.getAuthTag()])
}

/** @throws `ACCESS_DENIED` when the wrapping key is not the one that sealed it (or the bytes were changed) */
export function unwrapMasterKey(
  wrapped: Uint8Array,
  wrappingKey: Uint8Array,
  repositoryId: string,
): Uint8Array {
  const sealed = Buffer.from(wrapped.buffer, wrapped.byteOffset, wrapped.byteLength)
  try {
    const end = NONCE_BYTES + KEY_BYTES
    if (sealed.length !== end + TAG_BYTES) throw new Error('the wrapped key has the wrong length')
    const decipher = createDecipheriv('aes-256-gcm', wrappingKey, sealed.subarray(0, NONCE_BYTES))
    decipher.setAAD(wrapContext(repositoryId))
    decipher.setAuthTag(sealed.subarray(end))
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()])
  } catch (error) {
    throw new WorkspaceError(
      'ACCESS_DENIED',
      'The key or passphrase does not open this repository. Use the one that it was made with.',
      { cause: error, details: { repository: repositoryId } },
    )
  }
}

function wrapContext(repositoryId: string): Uint8Array {
  return Buffer.from(`ws-bundles-1 master key ${repositoryId}`)
}
