import type { ObjectStore } from '../../store/object-store.ts'
import type { FormatMarker } from '../format/format-marker.ts'
import type { RepositoryKeys } from '../format/repository-keys.ts'

/** Everything under one prefix of a store: the scope of one format marker and one set of keys. */
export interface Repository {
  readonly store: ObjectStore
  /** Empty, or ends with `/`. */
  readonly prefix: string
  readonly marker: FormatMarker
  /** `null` when the repository is not encrypted. */
  readonly keys: RepositoryKeys | null
  /** @param packId 32 hexadecimal digits */
  packKey(packId: string): string
  condemnedKey(packId: string): string
  /** Ends with `/`. The newest version of the workspace lists first. */
  versionsPrefix(workspaceId: string): string
  versionKey(workspaceId: string, version: number): string
  /** Ends with `/`. */
  tagsPrefix(workspaceId: string): string
  tagKey(workspaceId: string, tag: string): string
}

/** Who can read a repository besides the store's own access rules. The cipher is AES-256-GCM. */
export type RepositoryEncryption =
  /** 32 random bytes, kept by the caller. */
  | { readonly key: Uint8Array }
  /** Stretched with scrypt; its parameters and salt are in the repository's marker. */
  | { readonly passphrase: string }

export interface OpenRepositoryOptions {
  /** Where in the store the repository lives: one or more key segments. @default the top of the store */
  readonly prefix?: string | undefined
  /** @default none: not encrypted */
  readonly encryption?: RepositoryEncryption | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens the repository of a store, and makes it when there is none. Two processes that make it at once agree on one.
 * @throws `UNSUPPORTED` when it was written by a newer version of this library
 * @throws `ACCESS_DENIED` when the key or passphrase is not the repository's, before anything else is read or written
 * @throws `INVALID_INPUT` when it is encrypted and no key was given, or the other way round
 */
export async function openRepository(
  _store: ObjectStore,
  _options: OpenRepositoryOptions = {},
): Promise<Repository> {
  throw new Error('being written')
}
