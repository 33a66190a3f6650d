import { describeValue } from '../../../describe-value.ts'
import { WorkspaceError } from '../../../errors.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { readVersion } from './list-versions.ts'
import type { Repository } from './repository.ts'
import { parseInvertedVersion } from './version-number.ts'

/** Tags that were set (`true`) or taken away (`false`) after the save. */
export type TagChanges = ReadonlyMap<string, boolean>

const grammar = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const SET = new Uint8Array([49])
const TAKEN_AWAY = new TextEncoder().encode('taken away')

/** By the size of the object, as a listing shows it. A damaged one counts as set: a tag may only protect too much. */
export function isTagSet(size: number): boolean {
  return size !== TAKEN_AWAY.length
}

/** @throws `INVALID_INPUT` */
export function assertTag(tag: string): void {
  if (typeof tag === 'string' && grammar.test(tag)) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The tag ${describeValue(tag)} is not usable: only letters, digits, ".", "_" and "-", a letter or digit first, 128 at most.`,
    { details: { tag: typeof tag === 'string' ? tag : describeValue(tag) } },
  )
}

/**
 * Sets a tag on a version. Setting it again succeeds.
 * @throws `NOT_FOUND` when there is no such version
 */
export async function setTag(
  repository: Repository,
  workspaceId: string,
  version: number,
  tag: string,
  signal?: AbortSignal,
): Promise<void> {
  assertTag(tag)
  const key = repository.tagKey(workspaceId, version, tag)
  if ((await readVersion(repository, workspaceId, version, signal)) === null)
    throw noVersion(workspaceId, version)
  await repository.store.put(key, SET, { size: SET.length, signal })
  // Retention looks for new tags after it has removed a version; this looks for the version after the tag was set.
  if ((await readVersion(repository, workspaceId, version, signal)) !== null) return
  await repository.store.delete(key, { signal })
  throw noVersion(workspaceId, version)
}

/** Takes a tag from a version, also one that was given with the save. Taking away an absent one succeeds. */
export async function removeTag(
  repository: Repository,
  workspaceId: string,
  version: number,
  tag: string,
  signal?: AbortSignal,
): Promise<void> {
  assertTag(tag)
  const key = repository.tagKey(workspaceId, version, tag)
  const record = await readVersion(repository, workspaceId, version, signal)
  if (record?.tags.includes(tag))
    await repository.store.put(key, TAKEN_AWAY, { size: TAKEN_AWAY.length, signal })
  else await repository.store.delete(key, { signal })
}

/** By version; one listing. */
export async function listTagChanges(
  repository: Repository,
  workspaceId: string,
  options: { readonly version?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<ReadonlyMap<number, TagChanges>> {
  const { version, signal } = options
  const prefix = repository.tagsPrefix(workspaceId)
  const within = version === undefined ? prefix : repository.tagKey(workspaceId, version, '')
  const changes = new Map<number, Map<string, boolean>>()
  for await (const { key, size } of repository.store.list(within, { signal })) {
    const parsed = parseTagKey(key.slice(prefix.length))
    if (parsed === null) continue
    const tags = changes.get(parsed.version) ?? new Map<string, boolean>()
    changes.set(parsed.version, tags.set(parsed.tag, isTagSet(size)))
  }
  return changes
}

/** The tags of a version, sorted. */
export function effectiveTags(record: VersionRecord, changes: TagChanges | undefined): readonly string[] {
  const tags = new Set(record.tags)
  for (const [tag, isSet] of changes ?? []) {
    if (isSet) tags.add(tag)
    else tags.delete(tag)
  }
  return [...tags].sort()
}

/** What follows the prefix of a workspace's tags in a key: the version, inverted, and the tag. */
export function parseTagKey(text: string): { readonly version: number; readonly tag: string } | null {
  const [inverted = '', tag = '', ...rest] = text.split('/')
  const version = parseInvertedVersion(inverted)
  return version === null || rest.length > 0 || !grammar.test(tag) ? null : { version, tag }
}

function noVersion(workspaceId: string, version: number): WorkspaceError {
  return new WorkspaceError('NOT_FOUND', `The workspace ${workspaceId} has no version ${version} to tag.`, {
    details: { workspaceId, version },
  })
}
