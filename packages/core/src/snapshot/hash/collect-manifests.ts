import { lstatSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { rankSnapshots } from '../retained-snapshots.ts'
import type { CollectBackendOptions, SnapshotCollection } from '../state-usage.ts'
import { MANIFEST_ENDING } from './manifest-files.ts'

interface StoredManifest {
  readonly ref: string
  readonly path: string
  readonly bytes: number
  readonly label: string
  /** When it was last captured: a manifest that is used again gets a new time. */
  readonly capturedAt: string
}

const BLOCK_BYTES = 512
/** A file that a living process is about to put in place is not there for as long as this. */
const LITTER_MS = 10 * 60_000
const CONDEMNED = '.condemned'

/**
 * Removes manifests that the budget has no room for (see `rankSnapshots`), and what killed writers left behind. Takes no
 * lock: a manifest that is captured again at this very moment stays.
 */
export function collectManifests(directory: string, options: CollectBackendOptions): SnapshotCollection {
  const { maxBytes, dryRun } = options
  const { manifests, otherBytes } = listManifests(directory)
  const { ranked, protectedCount } = rankSnapshots(manifests, options)
  let bytes = otherBytes
  let rank = 0
  for (; rank < ranked.length; rank += 1) {
    bytes += ranked[rank]?.bytes ?? 0
    if (rank >= protectedCount && bytes > maxBytes) break
  }
  const kept = new Set(ranked.slice(0, rank))
  const removed = manifests.filter(
    (manifest) => !kept.has(manifest) && (dryRun || removeUnlessUsed(manifest)),
  )
  if (!dryRun) removeLitter(directory, options.now)
  const total = manifests.reduce((sum, manifest) => sum + manifest.bytes, otherBytes)
  const freedBytes = removed.reduce((sum, manifest) => sum + manifest.bytes, 0)
  return {
    backend: 'hash',
    bytes: total - freedBytes,
    maxBytes,
    snapshots: manifests.length - removed.length,
    reclaimableBytes: 0,
    removed: removed.map(({ ref, capturedAt }) => ({ ref, capturedAt })),
    freedBytes,
  }
}

/** Newest first. */
function listManifests(directory: string): { manifests: StoredManifest[]; otherBytes: number } {
  const manifests: StoredManifest[] = []
  let otherBytes = 0
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) continue
    const bytes = stats.blocks * BLOCK_BYTES
    if (!name.endsWith(MANIFEST_ENDING)) otherBytes += bytes
    else {
      const ref = name.slice(0, -MANIFEST_ENDING.length)
      manifests.push({ ref, path, bytes, label: 'snapshot', capturedAt: stats.mtime.toISOString() })
    }
  }
  manifests.sort((left, right) => (left.capturedAt < right.capturedAt ? 1 : -1))
  return { manifests, otherBytes }
}

/** Taken aside first: who captures the same state now either finds it there or stores it anew. */
function removeUnlessUsed({ path, capturedAt }: StoredManifest): boolean {
  const aside = `${path}${CONDEMNED}`
  try {
    renameSync(path, aside)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
  const isUsed = lstatSync(aside).mtime.toISOString() !== capturedAt
  if (isUsed) renameSync(aside, path)
  else rmSync(aside, { force: true })
  return !isUsed
}

function removeLitter(directory: string, now: number): void {
  for (const name of readdirSync(directory)) {
    if (!name.endsWith('.tmp') && !name.endsWith(CONDEMNED)) continue
    const path = join(directory, name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats !== undefined && now - stats.ctimeMs > LITTER_MS) rmSync(path, { force: true })
  }
}
