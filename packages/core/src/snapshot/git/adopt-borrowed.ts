import { fromBytePath, type BytePath } from '../byte-path.ts'
import { adoptObjects } from './adopt-objects.ts'
import type { CapturedEntry } from './file-stamp.ts'
import { openOwnObjects } from './own-objects.ts'
import { objectSizes } from './object-sizes.ts'
import type { PrivateRepository } from './private-repository.ts'
import type { NestedRepository } from './nested-repository.ts'
import type { Pause } from './pause.ts'
import type { UserRepository } from './repository-layout.ts'
import type { TrackedFiles } from './tracked-files.ts'

/** What a capture knows of the objects that it borrows. */
interface Borrower {
  readonly own: PrivateRepository
  readonly user: UserRepository
  readonly nested: readonly NestedRepository[]
  readonly tracked: TrackedFiles | null
  /** `null` but for the first capture. */
  readonly last: unknown
  readonly blobSizes: Promise<ReadonlyMap<string, number>> | null
  readonly pause: Pause
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes the snapshot independent of the user's objects.
 * @returns paths whose blobs cannot be had, or have another size than the file: line endings may have been converted, or a
 * filter been named for the file when git last looked at it. They are to be read from disk
 */
export async function adoptBorrowed(
  capture: Borrower,
  borrowed: ReadonlyMap<BytePath, CapturedEntry>,
): Promise<BytePath[]> {
  if (borrowed.size === 0) return []
  const absent = await adoptAll(capture, borrowed)
  const sizes = capture.blobSizes === null ? null : await allSizes(capture, borrowed)
  const unlike: BytePath[] = []
  if (absent.size === 0 && sizes === null) return unlike
  for (const [path, { id, size }] of borrowed) {
    const pausing = capture.pause()
    if (pausing !== undefined) await pausing
    if (absent.has(id) || (sizes !== null && sizes.get(id) !== size)) unlike.push(path)
  }
  return unlike
}

/** @returns ids of blobs that cannot be had */
async function adoptAll(
  { own, user, nested, last, tracked, signal }: Borrower,
  borrowed: ReadonlyMap<BytePath, CapturedEntry>,
): Promise<ReadonlySet<string>> {
  const held = openOwnObjects(own)
  const useful = last === null ? (tracked?.trees ?? []) : []
  let wanted = new Set<string>()
  for (const { id } of borrowed.values()) if (!held.has(id)) wanted.add(id)
  const others = nested.map(({ objectsDirectory }) => fromBytePath(objectsDirectory))
  for (const objects of [user.objectsDirectory, ...others]) {
    if (wanted.size === 0) break
    wanted = await adoptObjects(own, objects, { wanted, useful, signal })
  }
  return wanted
}

async function allSizes(
  { blobSizes, own, signal }: Borrower,
  borrowed: ReadonlyMap<BytePath, CapturedEntry>,
): Promise<ReadonlyMap<string, number>> {
  const known = (await blobSizes) ?? new Map<string, number>()
  const others = new Set<string>()
  for (const { id } of borrowed.values()) if (!known.has(id)) others.add(id)
  return others.size === 0 ? known : new Map([...known, ...(await objectSizes(own, others, { signal }))])
}
