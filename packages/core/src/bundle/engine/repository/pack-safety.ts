import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../../errors.ts'
import { bindStore } from '../../../store/bind-store.ts'
import type { ObjectInfo, ObjectStore } from '../../../store/object-store.ts'
import { readObject } from './read-object.ts'
import type { Repository } from './repository.ts'

/**
 * How long after its last look at the store a writer may commit. Half of the shortest grace time of prune must be longer;
 * docs/design/prune.md has the argument.
 */
export const COMMIT_WINDOW_MS = 900_000
/** A mark that is due sooner than this may be acted upon any moment, so taking it away no longer helps. */
const RESCUE_MARGIN_MS = 600_000
const MAX_MARK_BYTES = 4_096
/** Half of what a save gathers before it begins another pack. */
const FULL_PACK_BYTES = 8 * 1024 * 1024

/** What the object `condemned/<pack>` says; its age is the object's own, by the store's clock. */
export interface CondemnedMark {
  /** How long the mark must have been there before the pack is deleted. */
  readonly graceMs: number
}

/** The marks of prune by pack id. */
export async function listCondemned(
  repository: Repository,
  signal?: AbortSignal,
): Promise<Map<string, ObjectInfo>> {
  const marks = new Map<string, ObjectInfo>()
  const prefix = repository.condemnedKey('')
  for await (const info of repository.store.list(prefix, { signal }))
    marks.set(info.key.slice(prefix.length), info)
  return marks
}

export async function putMark(
  repository: Repository,
  packId: string,
  mark: CondemnedMark,
  signal?: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(mark))
  await repository.store.put(repository.condemnedKey(packId), bytes, { size: bytes.length, signal })
}

/**
 * A mark as it is now, `null` when it was taken away. Its grace time decides whether a pack may go or may be relied on, and
 * nothing proves it, so two reads have to agree on it: where they do not, it is `null`. One that cannot be read as it is
 * stored counts as put just now, for everybody.
 */
export async function readMark(
  repository: Repository,
  packId: string,
  signal?: AbortSignal,
): Promise<{ readonly info: ObjectInfo; readonly graceMs: number | null } | null> {
  const read = () => readObject(repository.store, repository.condemnedKey(packId), MAX_MARK_BYTES, signal)
  const first = await read()
  if (first === null) return null
  const second = await read()
  if (second === null) return null
  const [graceMs, again] = [graceIn(first.bytes), graceIn(second.bytes)]
  return { info: second.info, graceMs: graceMs === again ? graceMs : null }
}

function graceIn(bytes: Uint8Array): number {
  try {
    const mark: unknown = JSON.parse(Buffer.from(bytes).toString())
    if (typeof mark === 'object' && mark !== null && 'graceMs' in mark && typeof mark.graceMs === 'number')
      return mark.graceMs
  } catch {
    // Not JSON: the answer below.
  }
  return Number.POSITIVE_INFINITY
}

/** The time by the store's clock, which is what the ages of objects are measured with: that of an object put just now. */
export async function readStoreClock(repository: Repository, signal?: AbortSignal): Promise<number> {
  const info = await repository.store.put(`${repository.prefix}clock`, new Uint8Array(), { size: 0, signal })
  return info.modifiedAt.getTime()
}

/**
 * Makes sure that packs which no version is known to hold can be named by a record that is committed within
 * {@link COMMIT_WINDOW_MS}: takes away prune's marks that are not nearly due, then looks whether the packs are there.
 * @returns `false` when one of them is gone or about to go
 */
export async function securePacks(
  repository: Repository,
  packIds: readonly string[],
  signal?: AbortSignal,
): Promise<boolean> {
  if (packIds.length === 0) return true
  const { store } = repository
  const marks = await listCondemned(repository, signal)
  const marked = packIds.filter((id) => marks.has(id))
  if (marked.length > 0) {
    const localStart = repository.now()
    const storeStart = await readStoreClock(repository, signal)
    for (const id of marked) {
      const mark = await readMark(repository, id, signal)
      if (mark === null) continue
      const ageMs = storeStart + repository.now() - localStart - mark.info.modifiedAt.getTime()
      if (mark.graceMs === null || ageMs > mark.graceMs - RESCUE_MARGIN_MS) return false
      await store.delete(repository.condemnedKey(id), { signal })
    }
  }
  for (const id of packIds) if ((await store.head(repository.packKey(id), { signal })) === null) return false
  return true
}

/** Packs of a save that is under way: no record names them yet, so prune may mark them once they are old enough. */
export interface PackLease {
  /** The repository to save with; it notes the packs that are put. */
  readonly repository: Repository
  /** @returns `false` when a pack is gone */
  renew(signal?: AbortSignal): Promise<boolean>
  /** Deletes the packs of a save that came to nothing, as far as that works: the rest is garbage for prune. */
  discard(): Promise<void>
  /** From now on a record may name the packs, and nothing is discarded: what comes to nothing is garbage for prune. */
  keep(): void
}

export interface LeaseOptions {
  /** Rejects when no pack is to be put after all; packs wait for it. @default at once */
  readonly mayPut?: Promise<unknown> | undefined
  /** Called when the put of a pack begins that is not full, so probably the last. @default nothing */
  readonly onLastPack?: (() => void) | undefined
}

export function leasePacks(repository: Repository, options: LeaseOptions = {}): PackLease {
  const { mayPut, onLastPack } = options
  const { now } = repository
  const prefix = repository.packKey('')
  const securedAt = new Map<string, number>()
  const renew = async (signal?: AbortSignal): Promise<boolean> => {
    const startedAt = now()
    const due = [...securedAt].filter(([, at]) => startedAt - at > COMMIT_WINDOW_MS / 2).map(([id]) => id)
    if (!(await securePacks(repository, due, signal))) return false
    for (const id of due) securedAt.set(id, startedAt)
    return true
  }
  const store: ObjectStore = {
    ...bindStore(repository.store),
    async put(key, body, options) {
      await mayPut
      if (key.startsWith(prefix) && body instanceof Uint8Array && body.length < FULL_PACK_BYTES)
        onLastPack?.()
      const startedAt = now()
      const info = await repository.store.put(key, body, options)
      if (key.startsWith(prefix)) {
        securedAt.set(key.slice(prefix.length), startedAt)
        if (!(await renew(options?.signal))) throw packsGone()
      }
      return info
    },
  }
  return {
    repository: { ...repository, store },
    renew,
    async discard() {
      for (const id of securedAt.keys())
        await repository.store.delete(repository.packKey(id)).catch(() => undefined)
      securedAt.clear()
    },
    keep: () => securedAt.clear(),
  }
}

export function packsGone(): WorkspaceError {
  return new WorkspaceError(
    'UNAVAILABLE',
    'It took so long that prune has collected what had been stored so far. Nothing was saved or repaired; try again.',
  )
}
