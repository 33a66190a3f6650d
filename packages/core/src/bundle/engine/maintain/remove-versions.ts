import { WorkspaceError } from '../../../errors.ts'
import { listVersions, readListedVersion, type ListedVersion } from '../repository/list-versions.ts'
import { COMMIT_WINDOW_MS, listCondemned } from '../repository/pack-safety.ts'
import type { Repository } from '../repository/repository.ts'
import { findClaimsOf } from '../repository/version-claim.ts'
import { isRemovedVersion } from '../repository/version-number.ts'

/**
 * To be called before each removal of a version: takes prune's marks off the packs of versions that are about to go,
 * unless it has done so within half of {@link COMMIT_WINDOW_MS}. So a mark's age says for how long no version that held
 * the pack was removed, and a writer that saw one in time has committed before the mark is due (docs/design/prune.md).
 * @param readPacks the packs of all of these versions; only asked for when there are marks. `null`: not known, then
 * every mark is taken off
 */
export function keepReleased(
  repository: Repository,
  readPacks: () => Promise<ReadonlySet<string> | null>,
  signal?: AbortSignal,
): () => Promise<void> {
  const { now } = repository
  let releasedAt = Number.NEGATIVE_INFINITY
  return async () => {
    while (now() - releasedAt > COMMIT_WINDOW_MS / 2) {
      releasedAt = now()
      await releaseMarks(repository, readPacks, signal)
    }
  }
}

async function releaseMarks(
  repository: Repository,
  readPacks: () => Promise<ReadonlySet<string> | null>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const marks = await listCondemned(repository, signal)
  if (marks.size === 0) return
  const packs = await readPacks()
  for (const id of marks.keys()) {
    if (packs === null || packs.has(id))
      await repository.store.delete(repository.condemnedKey(id), { signal })
  }
}

/**
 * Removes a workspace: versions from the oldest on, so that one that was only half removed still has its newest; then
 * everything else under its id. Packs stay for prune. Removing an absent one succeeds.
 */
export async function removeWorkspace(
  repository: Repository,
  workspaceId: string,
  signal?: AbortSignal,
): Promise<void> {
  const { store } = repository
  const versions: ListedVersion[] = []
  for await (const listed of listVersions(repository, workspaceId, { signal })) versions.push(listed)
  const readPacks = async (): Promise<ReadonlySet<string> | null> => {
    const packs = new Set<string>()
    for (const listed of versions) {
      try {
        const record = await readListedVersion(repository, workspaceId, listed, signal)
        for (const { id } of record?.packs ?? []) packs.add(id)
      } catch (error) {
        // A workspace with a damaged record must still be removable.
        if (!WorkspaceError.is(error, 'CORRUPT')) throw error
        return null
      }
    }
    return packs
  }

  const usedClaims = await findClaimsOf(repository, workspaceId, versions, signal)
  const release = keepReleased(repository, readPacks, signal)
  for (const { info } of versions.toReversed()) {
    await release()
    await store.delete(info.key, { signal })
  }
  const prefix = repository.versionsPrefix(workspaceId).slice(0, -'versions/'.length)
  const known = new Set(versions.map(({ info }) => info.key))
  for await (const { key, size } of store.list(prefix, { signal })) {
    const isVersion = key.startsWith(repository.versionsPrefix(workspaceId)) && !isRemovedVersion(size)
    const isNewVersion = isVersion && !known.has(key)
    // Other claims may be of writers that are about to put a record: they count for those who come after.
    const isOthersClaim = key.startsWith(repository.claimsPrefix(workspaceId)) && !usedClaims.has(key)
    if (!isNewVersion && !isOthersClaim) await store.delete(key, { signal })
  }
}
