import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { acquireProcessLock } from '../../../filesystem/process-lock.ts'
import { isForCallers, rankSnapshots } from '../../retained-snapshots.ts'
import type { CollectBackendOptions, SnapshotCollection } from '../../state-usage.ts'
import { chooseExpired } from './expire-kept-objects.ts'
import { markObjects } from '../private/mark-objects.ts'
import { bytesOfObject, measureStore, type StoreContents } from './measure-store.ts'
import { pauser, type Pause } from '../table/pause.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import { parseRef } from '../private/sidecar.ts'
import { readSnapshotLog, writeSnapshotLog, type LoggedSnapshot } from '../private/snapshot-log.ts'
import { filesOfRepositoryState } from '../user/repository-state.ts'
import { keptNameOf, packFate, sweepStore } from './sweep-store.ts'

/** Longer than whoever waits for the lock takes between two looks at it. */
const LET_IN_MS = 30

/**
 * Removes what the budget has no room for (see `rankSnapshots`), and every object that no snapshot needs.
 *
 * Captures may run meanwhile, in this process and in others: what takes long (measuring, marking) is done without the
 * workspace's lock, and the lock is held for a few milliseconds at a time for removing. What was captured since the
 * marking is marked before anything more is removed. A process that dies in the middle leaves more than is needed, never
 * less: first the snapshots leave the log, then their objects go.
 *
 * @throws `BUSY` when another process collects, `UNAVAILABLE` when the store cannot be read; nothing is removed then
 */
export async function collectSnapshots(
  own: PrivateRepository,
  options: CollectBackendOptions,
): Promise<SnapshotCollection> {
  const { dryRun, maxBytes, signal } = options
  if (dryRun) return reportOf(await planCollection(own, options), maxBytes)
  const lock = await acquireProcessLock(lockDirectory(own), 'collect', {
    activity: `a collection of snapshots in ${own.directory}`,
    onBusy: 'refuse',
    signal,
  })
  try {
    const plan = await planCollection(own, options)
    await withCaptureLock(own, signal, () => dropSnapshots(own, plan))
    await sweepStore(own, plan, (work) => withCaptureLock(own, signal, work), signal)
    return reportOf(plan, maxBytes)
  } finally {
    await lock.release()
  }
}

interface CollectionPlan {
  /** Oldest first. */
  readonly kept: readonly LoggedSnapshot[]
  readonly removed: readonly LoggedSnapshot[]
  /** The tree that all that is captured from now on is compared with. */
  readonly newestTree: string | null
  readonly needed: Set<string>
  readonly contents: StoreContents
  /** Of what is kept besides, by name. */
  readonly expired: ReadonlySet<string>
  readonly freedBytes: number
  /** How the log looked. */
  readonly logged: number
}

async function planCollection(
  own: PrivateRepository,
  options: CollectBackendOptions,
): Promise<CollectionPlan> {
  const { maxBytes, now, runningSince, signal } = options
  const pause = pauser(signal)
  const logged = readSnapshotLog(own)
  const contents = await measureStore(own, pause)
  const newestFirst = logged.toReversed()
  const { ranked, protectedCount } = rankSnapshots(newestFirst, { now, runningSince })
  const { all, added } = await markObjects(own, ranked.map(treeOf), signal)
  const chosen = new Set<LoggedSnapshot>()
  const needed = new Set<string>()
  let bytes = 0
  for (const [rank, snapshot] of ranked.entries()) {
    const ids = (added.get(treeOf(snapshot)) ?? []).filter((id) => !needed.has(id))
    for (const id of ids) {
      const pausing = pause()
      if (pausing !== undefined) await pausing
      bytes += bytesOfObject(contents, id)
    }
    if (rank >= protectedCount && bytes > maxBytes) break
    chosen.add(snapshot)
    for (const id of ids) needed.add(id)
  }
  const kept = logged.filter((snapshot) => chosen.has(snapshot))
  const removed = logged.filter((snapshot) => !chosen.has(snapshot))
  const isNeededLess = needed.size < all.size
  return {
    kept,
    removed,
    newestTree: newestFirst[0] === undefined ? null : treeOf(newestFirst[0]),
    needed: isNeededLess ? needed : all,
    contents,
    ...(await planSweep(own, contents, { needed, kept }, { ...options, pause })),
    logged: logged.length,
  }
}

/** The newest capture is always among the kept ones, so a repository without captures needs nothing. */
function treeOf({ ref }: LoggedSnapshot): string {
  return parseRef(ref)?.tree ?? ref
}

/** From here on they are gone, also if nothing more is done. What was captured since the log was read stays. */
function dropSnapshots(own: PrivateRepository, { removed }: CollectionPlan): void {
  if (removed.length === 0) return
  const ids = new Set(removed.map(({ id }) => id))
  writeSnapshotLog(
    own,
    readSnapshotLog(own).filter(({ id }) => !ids.has(id)),
  )
}

/** What is to go besides snapshots, and what goes with them. */
async function planSweep(
  own: PrivateRepository,
  contents: StoreContents,
  { needed, kept }: Pick<CollectionPlan, 'needed' | 'kept'>,
  { pause, ...options }: CollectBackendOptions & { readonly pause: Pause },
): Promise<Pick<CollectionPlan, 'expired' | 'freedBytes'>> {
  const { history, adopted } = contents
  /** What will be kept besides, unless it goes. */
  const besides = new Map(history)
  let freed = 0
  /** What goes of snapshots, and is there as long as it is kept besides. */
  const heldBesides = new Map<string, number>()
  const add = (name: string, bytes: number): void => {
    const own = adopted.get(name)
    if (history.get(name)?.isHeld === true) heldBesides.set(name, bytes)
    else if (own !== undefined && !history.has(name) && bytes > 0) besides.set(name, own)
    else freed += bytes
  }
  for (const [id, bytes] of contents.loose) {
    const pausing = pause()
    if (pausing !== undefined) await pausing
    add(keptNameOf(id), needed.has(id) ? 0 : bytes)
  }
  for (const pack of contents.packs) {
    const { wasteBytes, isWorthRemoving } = await packFate(pack, needed, pause)
    add(pack.name, isWorthRemoving ? wasteBytes : 0)
  }
  const sidecars = new Set(kept.map(({ ref }) => parseRef(ref)?.sidecar))
  for (const [name, bytes] of contents.sidecars) if (!sidecars.has(name)) freed += bytes
  const states = new Set(kept.flatMap(({ repository }) => repository ?? []))
  const recorded = new Set([...states].flatMap((id) => filesOfRepositoryState(own, id)))
  for (const [name, bytes] of contents.repository) if (name !== 'last' && !recorded.has(name)) freed += bytes
  const expired = chooseExpired(besides, {
    ...options,
    bytesLeft: contents.bytes - freed,
    gainOf: (name, { bytes }) => heldBesides.get(name) ?? bytes,
  })
  for (const name of expired) freed += heldBesides.get(name) ?? besides.get(name)?.bytes ?? 0
  return { expired, freedBytes: freed }
}

function reportOf(
  { kept, removed, contents, freedBytes: freed }: CollectionPlan,
  maxBytes: number,
): SnapshotCollection {
  return {
    backend: 'git',
    bytes: contents.bytes - freed,
    maxBytes,
    snapshots: kept.filter(isForCallers).length,
    reclaimableBytes: 0,
    removed: removed
      .filter(isForCallers)
      .map(({ id, ref, label, capturedAt }) => ({ id, ref, label, capturedAt })),
    freedBytes: freed,
  }
}

async function withCaptureLock<T>(
  own: PrivateRepository,
  signal: AbortSignal | undefined,
  work: () => T | Promise<T>,
): Promise<T> {
  const lock = await acquireProcessLock(lockDirectory(own), 'capture', { signal })
  try {
    return await work()
  } finally {
    await lock.release()
    await sleep(LET_IN_MS)
  }
}

function lockDirectory(own: PrivateRepository): string {
  return dirname(own.directory)
}
