import type { ObjectInfo } from '../../../store/object-store.ts'
import type { ListedVersion } from './list-versions.ts'
import type { Repository } from './repository.ts'
import { isTagSet, parseTagKey, type TagChanges } from './tags.ts'
import { isRemovedVersion, parseVersionPath } from './version-number.ts'

/** What a listing of the whole repository shows of one workspace. */
export interface WorkspaceObjects {
  readonly workspaceId: string
  /** Newest first. */
  readonly versions: readonly ListedVersion[]
  readonly tagChanges: ReadonlyMap<number, TagChanges>
  /** Placeholders of removed versions and claims of writers: of use for a while only. */
  readonly leftovers: readonly ObjectInfo[]
}

/** Every workspace with its objects, by one listing; about 200 bytes of memory for each version. */
export async function scanWorkspaces(
  repository: Repository,
  signal?: AbortSignal,
): Promise<readonly WorkspaceObjects[]> {
  const prefix = `${repository.prefix}workspaces/`
  const workspaces = new Map<string, Scanned>()
  for await (const info of repository.store.list(prefix, { signal })) {
    const [workspaceId = '', kind = '', ...rest] = info.key.slice(prefix.length).split('/')
    const workspace = workspaces.get(workspaceId) ?? {
      workspaceId,
      versions: [],
      tagChanges: new Map(),
      leftovers: [],
    }
    workspaces.set(workspaceId, workspace)
    sortIn(workspace, info, kind, rest)
  }
  return [...workspaces.values()]
}

interface Scanned extends WorkspaceObjects {
  readonly versions: ListedVersion[]
  readonly tagChanges: Map<number, Map<string, boolean>>
  readonly leftovers: ObjectInfo[]
}

function sortIn(workspace: Scanned, info: ObjectInfo, kind: string, rest: readonly string[]): void {
  const { versions, tagChanges, leftovers } = workspace
  if (kind === 'claims') leftovers.push(info)
  if (kind === 'versions') {
    const version = parseVersionPath(rest.join('/'))
    if (version === null) return
    if (isRemovedVersion(info.size)) leftovers.push(info)
    else versions.push({ version, info })
  }
  if (kind === 'tags') {
    const parsed = parseTagKey(rest.join('/'))
    if (parsed === null) return
    const tags = tagChanges.get(parsed.version) ?? new Map<string, boolean>()
    tagChanges.set(parsed.version, tags.set(parsed.tag, isTagSet(info.size)))
  }
}

/** Entries of one workspace that are read over before the listing is started anew behind it. */
const ENTRIES_READ_OVER = 500

/** Ids that have a version, in byte order. Does not list all versions of a workspace that has many. */
export async function scanWorkspaceIds(
  repository: Repository,
  prefix: string,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const root = `${repository.prefix}workspaces/`
  const ids = new Set<string>()
  let startAfter: string | undefined
  do {
    let current = ''
    let entries = 0
    const listing = repository.store.list(root + prefix, { startAfter, signal })
    startAfter = undefined
    for await (const { key, size } of listing) {
      const [workspaceId = '', kind] = key.slice(root.length).split('/')
      entries = workspaceId === current ? entries + 1 : 0
      current = workspaceId
      if (kind === 'versions' && !isRemovedVersion(size)) ids.add(workspaceId)
      if (entries <= ENTRIES_READ_OVER || !ids.has(workspaceId)) continue
      // "0" is the character after "/".
      startAfter = `${root}${workspaceId}0`
      break
    }
  } while (startAfter !== undefined)
  return [...ids].sort()
}
