import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { acquireProcessLock } from '../../../filesystem/process-lock.ts'
import { forgetAdopted } from '../private/adopted-objects.ts'
import { runGit } from '../private/git-command.ts'
import { keepBesides } from '../private/keep-repository-objects.ts'
import { objectsBeyond } from '../private/mark-objects.ts'
import { readPackIndex, type PackIndex } from '../private/pack-index.ts'
import type { StoreContents, StoredPack } from './measure-store.ts'
import { pauser, type Pause } from '../table/pause.ts'
import { privateCall, type PrivateRepository } from '../private/private-repository.ts'
import { filesOfRepositoryState, statesDirectory } from '../user/repository-state.ts'
import { parseRef } from '../private/sidecar.ts'
import { readSnapshotLog, snapshotLogStamp, type LoggedSnapshot } from '../private/snapshot-log.ts'
import { idBytesOf } from '../private/object-format.ts'

export interface SweepPlan {
  readonly kept: readonly LoggedSnapshot[]
  readonly newestTree: string | null
  readonly needed: ReadonlySet<string>
  readonly contents: StoreContents
  /** Of what is kept besides, by name. */
  readonly expired: ReadonlySet<string>
}

/** Runs work under the workspace's lock; captures wait for it. */
export type Locked = <T>(work: () => T | Promise<T>) => Promise<T>

/** How long the lock is held at a time. */
const SLICE_MS = 20
/** A pack of our own is made anew when so much of it is needed by no snapshot. */
const WASTE_SHARE = 0.25
/** From here on loose objects become a pack, which takes a tenth of their place. */
const MANY_LOOSE = 4000
/** Where a new pack is made. */
const COLLECTING = 'collecting'

/** Removes every object that is not needed, in slices, and packs the others when there are many. */
export async function sweepStore(
  own: PrivateRepository,
  plan: SweepPlan,
  locked: Locked,
  signal: AbortSignal | undefined,
): Promise<void> {
  const live = followCaptures(own, plan, signal)
  const pause = pauser(signal)
  const wasteful: StoredPack[] = []
  for (const pack of plan.contents.packs) {
    const { isNeeded, isWorthRemoving } = await packFate(pack, plan.needed, pause)
    // Making it anew only takes space as long as the old one is kept besides.
    const isKept = plan.contents.history.get(pack.name)?.isHeld === true && !plan.expired.has(pack.name)
    if (isWorthRemoving && !(isNeeded && isKept)) wasteful.push(pack)
  }
  const packed = await packAnew(own, plan, wasteful, locked, signal)
  const left = new Set(plan.contents.packs)
  for (const pack of wasteful) {
    await locked(async () => {
      left.delete(pack)
      const isElsewhere = (id: string) =>
        plan.contents.loose.has(id) || packed?.has(id) === true || some(left, ({ index }) => index.has(id))
      if (!removePack(pack, await live(), isElsewhere)) left.add(pack)
    })
  }
  const moved = new Set<string>()
  await sweepFiles(plan.contents.loose.keys(), locked, live, (id, ids) => {
    if (ids.has(id) && packed?.has(id) !== true) return
    const name = keptNameOf(id)
    if (plan.contents.adopted.has(name)) {
      if (!plan.expired.has(name) && !keepBesides(own, name)) return
      moved.add(id)
    }
    rmSync(join(own.directory, 'objects', name), { force: true })
  })
  if (moved.size > 0) await locked(() => forgetAdopted(own, moved))
  await sweepFiles(plan.expired, locked, live, (name) => {
    // Without its index git does not look for a pack any more.
    for (const path of plan.contents.history.get(name)?.paths.toSorted() ?? []) rmSync(path, { force: true })
  })
  await sweepFiles(plan.contents.sidecars.keys(), locked, live, (name, ids) => {
    if (!ids.has(name)) rmSync(join(own.directory, 'sidecars', name), { force: true })
  })
  await sweepFiles(plan.contents.repository.keys(), locked, live, (name, ids) => {
    if (name !== 'last' && !ids.has(name)) rmSync(join(statesDirectory(own), name), { force: true })
  })
  // A list is kept under its hash, and under the id of each snapshot that left out just that.
  const names = [...plan.contents.omitted.keys()]
  const bySnapshot = names.filter((name) => name.includes('-'))
  await sweepFiles(bySnapshot, locked, live, (name, ids) => {
    if (!ids.has(name)) rmSync(join(own.directory, 'omitted', name), { force: true })
  })
  await locked(() => {
    for (const name of names.filter((each) => !each.includes('-'))) {
      const path = join(own.directory, 'omitted', name)
      if (lstatSync(path, { throwIfNoEntry: false })?.nlink === 1) rmSync(path)
    }
  })
}

export interface PackFate {
  /** By a snapshot. */
  readonly isNeeded: boolean
  readonly isWorthRemoving: boolean
  readonly wasteBytes: number
}

/** Whether a pack goes, and what that frees. */
export async function packFate(
  { index, bytes, indexBytes, isShared }: StoredPack,
  needed: ReadonlySet<string>,
  pause: Pause,
): Promise<PackFate> {
  let neededBytes = 0
  let isNeeded = false
  for (const id of needed.size < index.count ? needed : index.ids()) {
    const pausing = pause()
    if (pausing !== undefined) await pausing
    if (!index.has(id) || !needed.has(id)) continue
    isNeeded = true
    if (isShared) return { isNeeded, isWorthRemoving: false, wasteBytes: 0 }
    neededBytes += index.bytesOf(id)
  }
  if (!isNeeded) return { isNeeded, isWorthRemoving: true, wasteBytes: bytes + indexBytes }
  const wasteBytes = bytes - neededBytes
  return { isNeeded, isWorthRemoving: wasteBytes > bytes * WASTE_SHARE, wasteBytes }
}

/** What a loose object is called among what is kept besides. */
export function keptNameOf(id: string): string {
  return `${id.slice(0, 2)}/${id.slice(2)}`
}

type Live = () => Promise<ReadonlySet<string>>

/**
 * Under the lock: ids of all that may not go (objects, sidecars, snapshots). What was captured since the plan was made
 * consists of what the newest capture of the plan had, and of what differs from that.
 */
function followCaptures(own: PrivateRepository, plan: SweepPlan, signal: AbortSignal | undefined): Live {
  const ids = new Set(plan.needed)
  const known = new Set(plan.kept.map(({ id }) => id))
  const note = ({ id, ref, repository }: LoggedSnapshot) => {
    ids.add(id).add(parseRef(ref)?.sidecar ?? '')
    if (repository !== undefined && !ids.has(repository))
      for (const name of filesOfRepositoryState(own, repository)) ids.add(name)
  }
  for (const snapshot of plan.kept) note(snapshot)
  let stamp: string | null = null
  return async () => {
    const now = snapshotLogStamp(own)
    if (now === stamp) return ids
    const fresh = readSnapshotLog(own).filter(({ id }) => !known.has(id))
    const trees = fresh.map(({ ref }) => parseRef(ref)?.tree ?? '')
    if (fresh.length > 0)
      for (const id of await objectsBeyond(own, plan.newestTree, trees, signal)) ids.add(id)
    for (const snapshot of fresh) {
      known.add(snapshot.id)
      note(snapshot)
    }
    stamp = now
    return ids
  }
}

async function sweepFiles(
  names: Iterable<string>,
  locked: Locked,
  live: Live,
  sweep: (name: string, ids: ReadonlySet<string>) => void,
): Promise<void> {
  const left = [...names]
  while (left.length > 0) {
    await locked(async () => {
      const ids = await live()
      const endsAt = performance.now() + SLICE_MS
      while (left.length > 0 && performance.now() < endsAt) sweep(left.pop() ?? '', ids)
    })
  }
}

/**
 * Packs what is needed of wasteful packs, and the loose objects when there are many, as one pack of our own. It is made
 * beside the others, without the lock, and put among them under it.
 */
async function packAnew(
  own: PrivateRepository,
  { contents, needed }: SweepPlan,
  wasteful: readonly StoredPack[],
  locked: Locked,
  signal: AbortSignal | undefined,
): Promise<PackIndex | null> {
  const pause = pauser(signal)
  const wanted = new Set<string>()
  const stays = contents.packs.filter((pack) => !wasteful.includes(pack))
  let loose = 0
  for (const [id, bytes] of contents.loose) if (bytes > 0 && needed.has(id)) loose += 1
  for (const id of needed) {
    const pausing = pause()
    if (pausing !== undefined) await pausing
    const size = contents.loose.get(id)
    if (size === undefined) {
      const isOnlyThere =
        wasteful.some(({ index }) => index.has(id)) && !stays.some(({ index }) => index.has(id))
      if (isOnlyThere) wanted.add(id)
    } else if (loose > MANY_LOOSE && size > 0) wanted.add(id)
  }
  if (wanted.size === 0) return null
  const directory = join(own.directory, COLLECTING)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { mode: 0o700 })
  const call = privateCall(own, ['pack-objects', '-q', '--threads=1', join(directory, 'pack')], {
    input: Buffer.from(`${[...wanted].join('\n')}\n`),
    signal,
  })
  const name = `pack-${(await runGit(call)).toString('latin1').trim()}`
  const place = join(own.directory, 'objects', 'pack')
  return locked(() => {
    for (const ending of ['.pack', '.idx'])
      renameSync(join(directory, `${name}${ending}`), join(place, `${name}${ending}`))
    for (const left of readdirSync(directory)) rmSync(join(directory, left), { force: true })
    rmSync(directory, { recursive: true, force: true })
    return readPackIndex(join(place, `${name}.idx`), 0, idBytesOf(own.format))
  })
}

/** @returns false where something captured meanwhile needs it */
function removePack(
  pack: StoredPack,
  live: ReadonlySet<string>,
  isElsewhere: (id: string) => boolean,
): boolean {
  for (const id of live) if (pack.index.has(id) && !isElsewhere(id)) return false
  // Without its index git does not look for it any more.
  rmSync(`${pack.path}.idx`, { force: true })
  rmSync(`${pack.path}.pack`, { force: true })
  return true
}

function some<T>(items: Iterable<T>, holds: (item: T) => boolean): boolean {
  for (const item of items) if (holds(item)) return true
  return false
}

/** Of a collection that was killed. One that is still at work holds its lock. */
export async function sweepKilledCollection(own: PrivateRepository): Promise<void> {
  const directory = join(own.directory, COLLECTING)
  if (!existsSync(directory)) return
  const lock = await acquireProcessLock(dirname(own.directory), 'collect', { onBusy: 'refuse' }).catch(
    (error: unknown) => {
      if (WorkspaceError.is(error, 'BUSY')) return null
      throw error
    },
  )
  if (lock === null) return
  rmSync(directory, { recursive: true, force: true })
  await lock.release()
}
