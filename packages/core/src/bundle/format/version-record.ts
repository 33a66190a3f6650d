import type { ContentId } from './content-id.ts'
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

export declare function encodeVersionRecord(record: VersionRecord, keys: RepositoryKeys | null): Uint8Array
/**
 * @param expected what the object's key says; a record that says otherwise was put there by somebody else
 * @throws `CORRUPT`; `UNSUPPORTED` for a higher format
 */
export declare function decodeVersionRecord(
  bytes: Uint8Array,
  expected: VersionReference,
  keys: RepositoryKeys | null,
): VersionRecord
