import type { RepositoryKeys, ScryptParameters } from './repository-keys.ts'

/** The object that says what a repository is. JSON-safe; holds no secret in the clear. */
export interface FormatMarker {
  readonly format: 'ws-bundles'
  readonly version: 1
  /** 32 hexadecimal digits, random. */
  readonly repository: string
  readonly encryption: MarkerEncryption | null
}

export interface MarkerEncryption {
  readonly cipher: 'aes-256-gcm'
  readonly keySource: 'key' | 'scrypt'
  /** `null` when `keySource` is `key`. */
  readonly scrypt: ScryptParameters | null
  /** Base64. */
  readonly wrappedKeys: string
}

/** What a caller opens an encrypted repository with: 32 bytes, or a text that is stretched with scrypt. */
export type KeySource = { readonly key: Uint8Array } | { readonly passphrase: string }

/** The marker and the keys of a new repository. @throws `INVALID_INPUT` for a key that is not 32 bytes */
export declare function createFormatMarker(
  source: KeySource | null,
): Promise<{ readonly marker: FormatMarker; readonly keys: RepositoryKeys | null }>
/**
 * The keys of an existing one.
 * @throws `ACCESS_DENIED` when the key is not the one; `INVALID_INPUT` when one is missing or not needed
 */
export declare function openFormatMarker(
  marker: FormatMarker,
  source: KeySource | null,
): Promise<RepositoryKeys | null>
export declare function encodeFormatMarker(marker: FormatMarker): Uint8Array
/** @throws `CORRUPT`; `UNSUPPORTED` for a higher version */
export declare function decodeFormatMarker(bytes: Uint8Array): FormatMarker
