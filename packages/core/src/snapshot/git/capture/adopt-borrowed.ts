import { fromBytePath, type BytePath } from '../../byte-path.ts'
import { adoptObjects, wantedSet, type WantedObjects } from '../private/adopt-objects.ts'
import { NOT_BELIEVED, type BelievedEntries } from './believe-index.ts'
import type { CapturedEntry } from '../table/file-stamp.ts'
import { idAt, idsAmong } from '../user/link-indexed.ts'
import { openOwnObjects, type OwnObjects } from '../private/own-objects.ts'
import { objectSizes } from '../private/object-sizes.ts'
import { FIELDS } from '../table/shared-columns.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import type { FirstCapture } from './start-first.ts'
import type { NestedRepository } from '../user/nested-repository.ts'
import type { Pause } from '../table/pause.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import type { TrackedFiles } from '../user/tracked-files.ts'

/** What a capture knows of the objects that it borrows. */
interface Borrower {
  readonly own: PrivateRepository
  readonly user: UserRepository
  readonly nested: readonly NestedRepository[]
  readonly tracked: TrackedFiles | null
  /** `null` but for the first capture. */
  readonly last: unknown
  readonly first: Pick<FirstCapture, 'blobs'> | null
  readonly pause: Pause
  readonly signal?: AbortSignal | undefined
}

/** What a capture borrows: entries of the user's index, row by row, and others. */
interface Borrowed {
  readonly believed: BelievedEntries | null
  readonly borrowed: ReadonlyMap<BytePath, CapturedEntry>
  /** Files that were read, which proves that the blob is the file. */
  readonly read: ReadonlyMap<BytePath, CapturedEntry>
}

/**
 * Makes the snapshot independent of the user's objects.
 * @returns paths whose blobs cannot be had, or have another size than the file: line endings may have been converted, or a
 * filter been named for the file when git last looked at it. They are to be read from disk
 */
export async function adoptBorrowed(capture: Borrower, entries: Borrowed): Promise<BytePath[]> {
  const { own, first, signal } = capture
  const { believed, borrowed, read } = entries
  const blobs = believed === null ? undefined : await first?.blobs
  const toAdopt = blobs?.isAllHeld === true ? { ...entries, believed: null } : entries
  const absent = await adoptAll(capture, toAdopt, believed?.ahead.held ?? openOwnObjects(own))
  const unlike = believed === null ? [] : await findUnlike(capture, believed, blobs?.sizes, absent)
  const ids = new Set([...borrowed.values()].map(({ id }) => id))
  const sizes = await objectSizes(own, ids, { signal })
  for (const [path, { id, size }] of borrowed) if (absent.has(id) || sizes.get(id) !== size) unlike.push(path)
  for (const [path, { id }] of read) if (absent.has(id)) unlike.push(path)
  return unlike
}

/** @param sizes of the index's blobs, by its rows */
async function findUnlike(
  { pause }: Borrower,
  believed: BelievedEntries,
  sizes: Float64Array | undefined,
  absent: ReadonlySet<string>,
): Promise<BytePath[]> {
  const unlike: BytePath[] = []
  const { ids, numbers } = believed.table.columns()
  const paths = believed.table.paths()
  const idBytes = ids.length / Math.max(paths.length, 1)
  for (let at = 0; at < paths.length; at += 1) {
    const row = believed.rows[at] ?? NOT_BELIEVED
    if (row === NOT_BELIEVED) continue
    const pausing = pause()
    if (pausing !== undefined) await pausing
    const isProven = sizes?.[row] === numbers[at * FIELDS + 1]
    if (!isProven || (absent.size > 0 && absent.has(idAt(ids, at, idBytes)))) unlike.push(paths[at] ?? '')
  }
  return unlike
}

/** @returns ids of blobs that cannot be had */
async function adoptAll(
  { own, user, nested, last, tracked, signal }: Borrower,
  borrowed: Borrowed,
  held: OwnObjects,
): Promise<ReadonlySet<string>> {
  const missingIn = (store: OwnObjects): Set<string> => new Set(missingOf(store, borrowed))
  if (missingOf(held, borrowed).next().done === true) return new Set()
  const useful = last === null ? (tracked?.trees ?? []) : []
  let wanted: WantedObjects = { among: (ids) => missingAmong(held, borrowed, ids), missingIn }
  let missing: ReadonlySet<string> = new Set()
  const others = nested.map(({ objectsDirectory }) => fromBytePath(objectsDirectory))
  for (const objects of [user.objectsDirectory, ...others]) {
    missing = await adoptObjects(own, objects, { wanted, useful, signal })
    if (missing.size === 0) break
    wanted = wantedSet(missing)
  }
  return missing
}

function* missingAmong(
  store: OwnObjects,
  { believed, ...others }: Borrowed,
  ids: ReadonlySet<string>,
): Generator<string> {
  const { ids: known } = believed?.table.columns() ?? { ids: new Uint8Array() }
  const idBytes = known.length / Math.max(believed?.rows.length ?? 0, 1)
  // One that is not believed may be among them, which is one link more.
  for (const id of idsAmong(known, idBytes, ids)) if (!store.has(id)) yield id
  for (const id of missingOf(store, { believed: null, ...others })) if (ids.has(id)) yield id
}

function* missingOf(store: OwnObjects, { believed, borrowed, read }: Borrowed): Generator<string> {
  const ids = believed?.table.columns().ids ?? new Uint8Array()
  const rows = believed?.rows ?? new Int32Array()
  const idBytes = ids.length / Math.max(rows.length, 1)
  for (let at = 0; at < rows.length; at += 1)
    if (rows[at] !== NOT_BELIEVED && !store.hasAt(ids, at * idBytes)) yield idAt(ids, at, idBytes)
  for (const { id } of [...borrowed.values(), ...read.values()]) if (!store.has(id)) yield id
}
