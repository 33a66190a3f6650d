import { setTimeout as sleep } from 'node:timers/promises'
import { readHistory, readVersion } from '../../bundle/engine/repository/list-versions.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import { acquireProcessLock } from '../../filesystem/process-lock.ts'
import { isForCallers, rankSnapshots } from '../retained-snapshots.ts'
import type { CollectBackendOptions, SnapshotCollection } from '../state-usage.ts'
import { REUSE_MS } from './capture.ts'
import { factsOf, type BundleWorkspace } from './workspace-versions.ts'

/** How long the lock is held at a time. */
const SLICE_MS = 20
/** Longer than whoever waits for the lock takes between two looks at it. */
const LET_IN_MS = 30

/**
 * Removes the snapshots that the budget has no room for (see `rankSnapshots`), and packs that none needs. What takes
 * long is read without the workspace's lock; it is held for a few milliseconds at a time for removing, and what was
 * captured meanwhile is looked at first. A process that dies in the middle leaves more than is needed, never less.
 *
 * @param directory where captures of the workspace take their lock
 * @throws `BUSY` when another process collects, `CORRUPT` for a record that cannot be read; nothing is removed then
 */
export async function collectVersions(
  workspace: BundleWorkspace,
  directory: string,
  options: CollectBackendOptions,
): Promise<SnapshotCollection> {
  const { dryRun, signal } = options
  if (dryRun) return (await planCollection(workspace, options)).report
  const lock = await acquireProcessLock(directory, 'collect', {
    activity: `a collection of snapshots in ${directory}`,
    onBusy: 'refuse',
    signal,
  })
  try {
    const plan = await planCollection(workspace, options)
    const locked = async (work: () => Promise<void>): Promise<void> => {
      const capture = await acquireProcessLock(directory, 'capture', { signal })
      try {
        await work()
      } finally {
        await capture.release()
        await sleep(LET_IN_MS)
      }
    }
    await sweep(workspace, plan, locked, signal)
    return plan.report
  } finally {
    await lock.release()
  }
}

interface VersionPlan {
  readonly removed: readonly VersionRecord[]
  readonly newestVersion: number
  readonly neededPacks: ReadonlySet<string>
  readonly unneededPacks: readonly string[]
  readonly report: SnapshotCollection
}

async function planCollection(
  { repository, workspaceId }: BundleWorkspace,
  { maxBytes, now, runningSince, signal }: CollectBackendOptions,
): Promise<VersionPlan> {
  // Listed before the records are read: a pack that comes later is not even considered.
  const packs = new Map<string, number>()
  const prefix = repository.packKey('')
  for await (const { key, size } of repository.store.list(prefix, { signal }))
    packs.set(key.slice(prefix.length), size)
  const newestFirst: VersionRecord[] = []
  for await (const record of readHistory(repository, workspaceId, signal)) newestFirst.push(record)
  const candidates = newestFirst.map((record) => ({
    record,
    ref: factsOf(record).ref,
    label: record.message,
    // Snapshots of an unchanged directory share a version, so its last one may be so much younger.
    capturedAt: new Date(Date.parse(record.createdAt) + REUSE_MS).toISOString(),
  }))
  const { ranked, protectedCount } = rankSnapshots(candidates, { now, runningSince })
  const kept = new Set<VersionRecord>()
  const needed = new Set<string>()
  let bytes = 0
  for (const [rank, { record }] of ranked.entries()) {
    const fresh = record.packs.filter(({ id }) => !needed.has(id))
    bytes += fresh.reduce((sum, pack) => sum + pack.bytes, 0)
    if (rank >= protectedCount && bytes > maxBytes) break
    kept.add(record)
    for (const { id } of fresh) needed.add(id)
  }
  const removed = newestFirst.filter((record) => !kept.has(record)).toReversed()
  const unneededPacks = [...packs.keys()].filter((id) => !needed.has(id))
  const freedBytes = unneededPacks.reduce((sum, id) => sum + (packs.get(id) ?? 0), 0)
  const total = [...packs.values()].reduce((sum, size) => sum + size, 0)
  const isVisible = ({ message }: VersionRecord) => isForCallers({ label: message })
  return {
    removed,
    newestVersion: newestFirst[0]?.version ?? 0,
    neededPacks: needed,
    unneededPacks,
    report: {
      backend: 'bundle',
      bytes: total - freedBytes,
      maxBytes,
      snapshots: [...kept].filter(isVisible).length,
      reclaimableBytes: 0,
      removed: removed.filter(isVisible).map(describe),
      freedBytes,
    },
  }
}

async function sweep(
  { repository, workspaceId }: BundleWorkspace,
  { removed, newestVersion, neededPacks, unneededPacks }: VersionPlan,
  locked: (work: () => Promise<void>) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const needed = new Set(neededPacks)
  let seenVersion = newestVersion
  /** Under the lock nothing is half captured: what versions there are say all that is needed. */
  const lookAtNewVersions = async (): Promise<void> => {
    for (;;) {
      const record = await readVersion(repository, workspaceId, seenVersion + 1, signal)
      if (record === null) return
      for (const { id } of record.packs) needed.add(id)
      seenVersion += 1
    }
  }
  const keys = [
    // The records first, oldest first: without its packs a version must not be found.
    ...removed.map(({ version }) => ({ key: repository.versionKey(workspaceId, version), pack: null })),
    ...unneededPacks.map((id) => ({ key: repository.packKey(id), pack: id })),
  ].toReversed()
  while (keys.length > 0) {
    await locked(async () => {
      await lookAtNewVersions()
      const endsAt = performance.now() + SLICE_MS
      while (keys.length > 0 && performance.now() < endsAt) {
        const next = keys.pop()
        if (next !== undefined && (next.pack === null || !needed.has(next.pack)))
          await repository.store.delete(next.key, { signal })
      }
    })
  }
}

function describe(record: VersionRecord): SnapshotCollection['removed'][number] {
  return { ref: factsOf(record).ref, label: record.message, capturedAt: record.createdAt }
}
