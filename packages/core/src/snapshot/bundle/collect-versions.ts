import { readHistory } from '../../bundle/engine/list-versions.ts'
import { prune } from '../../bundle/engine/prune.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import type { BundleWorkspace } from './workspace-versions.ts'

const KEPT_VERSIONS = 20
const PROTECTED_MS = 24 * 60 * 60_000

/**
 * Removes the oldest snapshots until the rest fits into the budget, and content that nothing needs any more. The newest
 * ones and those of the last day always stay. Call it under the workspace's lock, which is what makes removing at once safe.
 */
export async function collectVersions(workspace: BundleWorkspace, maxBytes: number): Promise<void> {
  const { repository, workspaceId } = workspace
  let stored = 0
  for await (const { size } of repository.store.list(repository.packKey(''))) stored += size
  if (stored <= maxBytes) return
  const newestFirst: VersionRecord[] = []
  for await (const record of readHistory(repository, workspaceId)) newestFirst.push(record)
  for (const { version } of chooseVersions(newestFirst, maxBytes, Date.now()))
    await repository.store.delete(repository.versionKey(workspaceId, version))
  await prune(repository, null, { exclusive: true })
}

function chooseVersions(
  newestFirst: readonly VersionRecord[],
  maxBytes: number,
  now: number,
): readonly VersionRecord[] {
  const needed = new Set<string>()
  let total = 0
  return newestFirst.filter(({ createdAt, packs }, index) => {
    const fresh = packs.filter(({ id }) => !needed.has(id))
    const bytes = fresh.reduce((sum, pack) => sum + pack.bytes, 0)
    const isProtected = index < KEPT_VERSIONS || now - Date.parse(createdAt) < PROTECTED_MS
    if (!isProtected && total + bytes > maxBytes) return true
    for (const { id } of fresh) needed.add(id)
    total += bytes
    return false
  })
}
