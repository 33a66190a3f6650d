import type { ObjectInfo } from '../../store/object-store.ts'
import { listCondemned, putMark, readMark } from './pack-safety.ts'
import { isPackId, type Repository } from './repository.ts'

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
  const prefix = repository.packKey('')
  const isOld = (info: ObjectInfo): boolean => storeNow - info.modifiedAt.getTime() >= graceMs

  for await (const pack of store.list(prefix, { signal })) {
    const id = pack.key.slice(prefix.length)
    if (!isPackId(id)) continue
    const mark = marks.get(id)
    marks.delete(id)
    onLooked()
    if (needed.has(id)) {
      if (mark !== undefined && !dryRun) await store.delete(mark.key, { signal })
    } else if (exclusive || (mark !== undefined && isOld(mark) && !seen.has(id))) {
      if (dryRun || (await sweep(repository, id, { storeNow, graceMs, exclusive, signal }))) deleted.add(pack)
      else waiting.add(pack)
    } else {
      waiting.add(pack)
      if (mark !== undefined || !isOld(pack)) continue
      condemned.add(pack)
      if (!dryRun) await putMark(repository, id, { graceMs }, signal)
    }
  }
  // What is left marks no pack: a sweep that was cut off after the pack was deleted.
  for (const [id, mark] of marks) {
    if (
      dryRun ||
      !isPackId(id) ||
      !isOld(mark) ||
      (await store.head(repository.packKey(id), { signal })) !== null
    )
      continue
    await store.delete(mark.key, { signal })
  }
  return { condemned: condemned.total(), deleted: deleted.total(), waiting: waiting.total() }
}

/** Deletes a pack whose mark is still there: whoever needs the pack takes the mark away first. */
async function sweep(
  repository: Repository,
  packId: string,
  { storeNow, graceMs, exclusive, signal }: Pick<Collection, 'storeNow' | 'graceMs' | 'exclusive' | 'signal'>,
): Promise<boolean> {
  const mark = await readMark(repository, packId, signal)
  if (!exclusive) {
    if (mark === null) return false
    const ageMs = storeNow - mark.info.modifiedAt.getTime()
    if (ageMs < graceMs || ageMs < mark.graceMs) return false
  }
  for await (const { key } of repository.store.list(repository.repairKey(packId, ''), { signal }))
    await repository.store.delete(key, { signal })
  await repository.store.delete(repository.packKey(packId), { signal })
  if (mark !== null) await repository.store.delete(repository.condemnedKey(packId), { signal })
  return true
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
