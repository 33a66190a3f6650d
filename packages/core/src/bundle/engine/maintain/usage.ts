import { forEachConcurrently } from '../repository/for-each-concurrently.ts'
import { readListedVersion } from '../repository/list-versions.ts'
import { listRepairs } from '../repository/repairs.ts'
import { isPackId, type Repository } from '../repository/repository.ts'
import { scanWorkspaces } from '../repository/scan-workspaces.ts'

/** JSON-safe. Bytes of packs as they are stored. */
export interface RepositoryUsage {
  /** All packs, each counted once, garbage too. */
  readonly totalBytes: number
  /** Packs that no version needs, and that repair nothing; prune deletes them. A save that is under way counts here until it is committed. */
  readonly unreferencedBytes: number
  /** By id in byte order. */
  readonly workspaces: readonly WorkspaceUsage[]
}

export interface WorkspaceUsage {
  readonly workspaceId: string
  /** Packs that no other workspace needs. */
  readonly ownBytes: number
  /** Packs that other workspaces (forks) need too. */
  readonly sharedBytes: number
  /** Newest first. */
  readonly versions: readonly VersionUsage[]
}

export interface VersionUsage {
  readonly version: number
  /** Packs that it needs. */
  readonly bytes: number
  /** Packs that no other version of any workspace needs: what removing it would free. */
  readonly ownBytes: number
}

/**
 * What is stored, and for whom. Lists the repository and reads every record.
 * @throws `CORRUPT` for a record that cannot be read
 */
export async function measureUsage(repository: Repository, signal?: AbortSignal): Promise<RepositoryUsage> {
  const scanned = await scanWorkspaces(repository, signal)
  const packs = new Map<string, Pack>()
  const versions = new Map<string, Map<number, readonly Pack[]>>()
  for (const { workspaceId, versions: listed } of scanned) {
    const ofWorkspace = new Map<number, readonly Pack[]>()
    versions.set(workspaceId, ofWorkspace)
    await forEachConcurrently(listed, async (each) => {
      const record = await readListedVersion(repository, workspaceId, each, signal)
      if (record === null) return
      const needed = record.packs.map(({ id, bytes }) => {
        const pack = packs.get(id) ?? { bytes, users: 0, workspaces: new Set() }
        packs.set(id, pack)
        pack.users += 1
        pack.workspaces.add(workspaceId)
        return pack
      })
      ofWorkspace.set(record.version, needed)
    })
  }
  let totalBytes = 0
  let unreferencedBytes = 0
  const replacements = new Set((await listRepairs(repository, signal)).map((repair) => repair.replacementId))
  const prefix = repository.packKey('')
  for await (const { key, size } of repository.store.list(prefix, { signal })) {
    const id = key.slice(prefix.length)
    if (!isPackId(id)) continue
    totalBytes += size
    if (!packs.has(id) && !replacements.has(id)) unreferencedBytes += size
  }
  const workspaces = [...versions]
    .filter(([, ofWorkspace]) => ofWorkspace.size > 0)
    .map(([workspaceId, ofWorkspace]) => describe(workspaceId, ofWorkspace))
    .sort((left, right) => (left.workspaceId < right.workspaceId ? -1 : 1))
  return { totalBytes, unreferencedBytes, workspaces }
}

interface Pack {
  readonly bytes: number
  /** Versions. */
  users: number
  readonly workspaces: Set<string>
}

function describe(workspaceId: string, versions: ReadonlyMap<number, readonly Pack[]>): WorkspaceUsage {
  const all = new Set([...versions.values()].flat())
  return {
    workspaceId,
    ownBytes: total(all, (pack) => pack.workspaces.size === 1),
    sharedBytes: total(all, (pack) => pack.workspaces.size > 1),
    versions: [...versions]
      .sort(([left], [right]) => right - left)
      .map(([version, packs]) => ({
        version,
        bytes: total(packs, () => true),
        ownBytes: total(packs, ({ users }) => users === 1),
      })),
  }
}

function total(packs: Iterable<Pack>, counts: (pack: Pack) => boolean): number {
  let bytes = 0
  for (const pack of packs) if (counts(pack)) bytes += pack.bytes
  return bytes
}
