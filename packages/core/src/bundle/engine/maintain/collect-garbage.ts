import type { ObjectInfo } from '../../../store/object-store.ts'
import { deleteUnlocked } from '../repository/delete-unlocked.ts'
import { listCondemned, putMark, readMark } from '../repository/pack-safety.ts'
import { isPackId, type Repository } from '../repository/repository.ts'

export interface PackTotal {
  readonly packs: number
  readonly bytes: number
}

/** JSON-safe. */
export interface CollectedGarbage {
  /** Packs that were found to be garbage now; a later call, when the grace time has passed, deletes them. */
  readonly condemned: PackTotal
  /** Packs that were deleted. */
  readonly deleted: PackTotal
  /** Garbage that is left, condemned now or before, or too young. */
  readonly waiting: PackTotal
  /**
   * Garbage that was due and that the store did not let go (`ACCESS_DENIED`, `BUSY`): under an object lock, a retention, a
   * hold or a lease, or without the right to delete. It is left too, and a later call tries again.
   */
  readonly locked: PackTotal
}

export interface Collection {
  /** Packs of versions that stay. */
  readonly needed: ReadonlySet<string>
  /** Packs of every version that was there when the workspaces were listed, also of those removed since. */
  readonly seen: ReadonlySet<string>
  readonly storeNow: number
  readonly graceMs: number
  readonly dryRun: boolean
  readonly exclusive: boolean
  /** Called after each pack. */
  readonly onLooked: () => void
  readonly signal: AbortSignal | undefined
}

/** Marks packs that nothing needs, and deletes those whose mark is old enough. See docs/design/prune.md. */
export async function collectGarbage(
  repository: Repository,
  { needed, seen, storeNow, graceMs, dryRun, exclusive, onLooked, signal }: Collection,
): Promise<CollectedGarbage> {
  const { store } = repository
  const marks = await listCondemned(repository, signal)
  const condemned = startTotal()
  const deleted = startTotal()
  const waiting = startTotal()
  const locked = startTotal()
  const prefix = repository.packKey('')
  const isOld = (info: ObjectInfo): boolean => storeNow - info.modifiedAt.getTime() >= graceMs

  for await (const pack of store.list(prefix, { signal })) {
    const id = pack.key.slice(prefix.length)
    if (!isPackId(id)) continue
    const mark = marks.get(id)
    marks.delete(id)
    onLooked()
    if (needed.has(id)) {
      if (mark !== undefined && !dryRun) await deleteUnlocked(repository, mark.key, signal)
    } else if (exclusive || (mark !== undefined && isOld(mark) && !seen.has(id))) {
      const outcome = await sweep(repository, id, { storeNow, graceMs, dryRun, exclusive, signal })
      if (outcome === 'deleted') deleted.add(pack)
      else waiting.add(pack)
      if (outcome === 'locked') locked.add(pack)
    } else {
      waiting.add(pack)
      if (mark !== undefined || !isOld(pack)) continue
      condemned.add(pack)
      if (!dryRun) await putMark(repository, id, { graceMs }, signal)
    }
  }
  for (const [id, mark] of marks)
    if (!dryRun && isOld(mark)) await deleteStray(repository, id, mark.key, signal)
  return {
    condemned: condemned.total(),
    deleted: deleted.total(),
    waiting: waiting.total(),
    locked: locked.total(),
  }
}

/** Deletes a mark that marks no pack: a sweep was cut off after the pack was deleted. */
async function deleteStray(
  repository: Repository,
  packId: string,
  markKey: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!isPackId(packId)) return
  if ((await repository.store.head(repository.packKey(packId), { signal })) !== null) return
  await deleteUnlocked(repository, markKey, signal)
}

/** Deletes a pack whose mark is still there: whoever needs the pack takes the mark away first. */
async function sweep(
  repository: Repository,
  packId: string,
  { storeNow, graceMs, dryRun, exclusive, signal }: Omit<Collection, 'needed' | 'seen' | 'onLooked'>,
): Promise<'deleted' | 'waiting' | 'locked'> {
  const mark = await readMark(repository, packId, signal)
  if (!exclusive) {
    if (mark === null) return 'waiting'
    const ageMs = storeNow - mark.info.modifiedAt.getTime()
    if (mark.graceMs === null || ageMs < graceMs || ageMs < mark.graceMs) return 'waiting'
  }
  if (dryRun) return 'deleted'
  for await (const { key } of repository.store.list(repository.repairKey(packId, ''), { signal }))
    if (!(await deleteUnlocked(repository, key, signal))) return 'locked'
  if (!(await deleteUnlocked(repository, repository.packKey(packId), signal))) return 'locked'
  // One that stays marks nothing; the next prune tries again.
  if (mark !== null) await deleteUnlocked(repository, repository.condemnedKey(packId), signal)
  return 'deleted'
}

function startTotal(): { add(info: ObjectInfo): void; total(): PackTotal } {
  let packs = 0
  let bytes = 0
  return {
    add(info) {
      packs += 1
      bytes += info.size
    },
    total: () => ({ packs, bytes }),
  }
}
