import crypto from 'node:crypto'
import { join } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { encodePath } from '../../filesystem/path-text.ts'
import {
  findVersion,
  listVersions,
  readListedVersion,
  readVersion,
} from '../../bundle/engine/repository/list-versions.ts'
import { openRepository, type Repository } from '../../bundle/engine/repository/repository.ts'
import { createFormatMarker, encodeFormatMarker } from '../../bundle/format/format-marker.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import { privateDirectoryStore } from '../../store/private-directory-store.ts'
import { fillCapturePolicy, type CapturePolicy, type FilledLimits } from '../capture-policy.ts'
import type { IgnoreRules } from '../hash/ignore-rules.ts'
import type { Omission, Snapshot } from '../snapshot.ts'

/** Where the snapshots of one directory are: versions of one workspace in a private repository. */
export interface BundleWorkspace {
  /** Real path of the directory. */
  readonly path: string
  readonly repository: Repository
  readonly workspaceId: string
  /** What only makes captures faster, and the journal of a rollback. */
  readonly cacheDirectory: string
  /** Relative path of the state directory when it lies inside the workspace. */
  readonly ownPath: string | null
  readonly policy: CapturePolicy
}

/** What a version record says of a snapshot besides its tree. */
export interface SnapshotFacts {
  readonly ref: string
  readonly entries: number
  readonly rules: IgnoreRules
  readonly omitted: readonly Omission[]
  readonly unstable: readonly string[]
  /** Permission bits that count in the place of those in the tree; sorted. */
  readonly modes?: readonly (readonly [path: string, mode: number])[]
  /** Patterns of the files whose content is kept out of patches; see `CapturePolicyOptions.precious`. */
  readonly precious?: readonly string[]
  /** Those under which files were left out. */
  readonly limits?: FilledLimits
}

export async function openWorkspace(
  path: string,
  directory: string,
  ownPath: string | null,
  policy: CapturePolicy = fillCapturePolicy({}),
): Promise<BundleWorkspace> {
  const repository = await openOrMend(privateDirectoryStore(join(directory, 'store')))
  const workspaceId = crypto.hash('sha256', encodePath(path), 'hex').slice(0, 32)
  return { path, repository, workspaceId, cacheDirectory: join(directory, workspaceId), ownPath, policy }
}

/** What a power failure has made of the marker is replaced: without encryption, nothing in the store depends on it. */
async function openOrMend(store: ObjectStore): Promise<Repository> {
  try {
    return await openRepository(store)
  } catch (error) {
    if (!WorkspaceError.is(error, 'CORRUPT')) throw error
    const { marker } = await createFormatMarker(null)
    await store.put('format', encodeFormatMarker(marker))
    return openRepository(store)
  }
}

/**
 * The latest version. When its record cannot be read, that one and others like it are removed, as after a power failure:
 * nothing that they held can be had any more, and none could be captured after them. Call it under the workspace's lock.
 * @returns also how many were removed
 */
export async function findLatest(
  { repository, workspaceId }: BundleWorkspace,
  signal?: AbortSignal,
): Promise<{ readonly latest: VersionRecord | null; readonly removed: number }> {
  const find = () => findVersion(repository, workspaceId, undefined, signal)
  try {
    return { latest: await find(), removed: 0 }
  } catch (error) {
    if (!WorkspaceError.is(error, 'CORRUPT')) throw error
  }
  const damaged: string[] = []
  for await (const listed of listVersions(repository, workspaceId, { signal }))
    await readListedVersion(repository, workspaceId, listed, signal).catch((error: unknown) => {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
      damaged.push(listed.info.key)
    })
  for (const key of damaged) await repository.store.delete(key, { signal })
  return { latest: await find(), removed: damaged.length }
}

export function toMetadata(facts: SnapshotFacts): Record<string, string> {
  return { snapshot: JSON.stringify(facts) }
}

/** @throws `CORRUPT`; the record's checksum has been checked, so only another program can have written it */
export function factsOf(record: VersionRecord): SnapshotFacts {
  try {
    return JSON.parse(record.metadata['snapshot'] ?? '') as SnapshotFacts
  } catch (error) {
    throw new WorkspaceError('CORRUPT', `Version ${record.version} in the state directory is no snapshot.`, {
      cause: error,
    })
  }
}

/** A snapshot's id names its version, so that the very tree is found and not just one with the same ref. */
export function makeSnapshotId(version: number, random: string): string {
  return `bundle-${version}-${random}`
}

/**
 * The version that holds a snapshot.
 * @throws `INVALID_INPUT` when the snapshot is of another directory or backend, `NOT_FOUND` when its data is gone
 */
export async function findSnapshot(
  { path, repository, workspaceId }: BundleWorkspace,
  snapshot: Snapshot,
  signal?: AbortSignal,
): Promise<VersionRecord> {
  const version = /^bundle-([1-9]\d{0,8})-[0-9a-f]+$/.exec(snapshot.id)?.[1]
  if (snapshot.backend !== 'bundle' || snapshot.path !== path) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `Snapshot ${snapshot.id} is of ${snapshot.path} by the ${snapshot.backend} backend, not of ${path} by bundle. Use snapshots of one workspace and backend.`,
      { details: { path: snapshot.path, backend: snapshot.backend } },
    )
  }
  const record =
    version === undefined ? null : await readVersion(repository, workspaceId, Number(version), signal)
  const isThere =
    record !== null && factsOf(record).ref === snapshot.ref && (await hasPacks(repository, record))
  if (isThere) return record
  throw new WorkspaceError(
    'NOT_FOUND',
    `The data of snapshot ${snapshot.id} is gone from the state directory. Take a new snapshot.`,
    { details: { ref: snapshot.ref } },
  )
}

/** Whether all packs are there in their full length: a power failure may have taken what was just written. */
export async function hasPacks(repository: Repository, record: VersionRecord): Promise<boolean> {
  for (const { id, bytes } of record.packs) {
    if ((await repository.store.head(repository.packKey(id)))?.size !== bytes) return false
  }
  return true
}
