import { doAhead, type DoneAhead } from './do-ahead.ts'
import { idsOfRows } from './index-rows.ts'
import { linkIndexed, type IndexedObjects } from './link-indexed.ts'
import { sizesOfIds } from './object-sizes.ts'
import type { PrivateRepository } from './private-repository.ts'
import type { UserRepository } from './repository-layout.ts'
import { startStamping, type Stamping } from './start-stamping.ts'
import type { StartedWalk } from './start-walk.ts'
import type { TrackedFiles } from './tracked-files.ts'

interface Workspace {
  /** Real path. */
  readonly path: string
  readonly own: PrivateRepository
  readonly user: UserRepository
}

/** What is known of the index at the first capture, which believes it where it can. */
export interface FirstCapture {
  readonly index: NonNullable<TrackedFiles['ofIndex']>
  /** Of the files that the index names. */
  readonly stamping: Stamping
  /** Of the blobs that the index names, by its rows, as far as the user's repository has them. */
  readonly blobSizes: Promise<Float64Array>
  /** Makes the blobs our own where that only takes links. */
  readonly link: () => IndexedObjects
  /** The same each time. */
  readonly ahead: () => DoneAhead
}

/**
 * Lets threads look at the files that the index names, and a process of git at the blobs.
 * @returns `null` when only git can read the index
 */
export function startFirst(
  { path, own, user }: Workspace,
  { ofIndex, trees }: TrackedFiles,
  { walk, signal }: { readonly walk: StartedWalk | null; readonly signal: AbortSignal | undefined },
): FirstCapture | null {
  if (ofIndex === null) return null
  // Threads begin first: starting git takes this one a while.
  const stamping = startStamping(path, ofIndex, { walk })
  const ids = idsOfRows(ofIndex.rows)
  const blobSizes = sizesOfIds(own, ids, { alternate: user.objectsDirectory, signal })
  // Whoever awaits it sees it; until then a failure elsewhere must not leave this one unhandled.
  blobSizes.catch(() => {})
  let linked: IndexedObjects | null = null
  const link = () => (linked ??= linkIndexed(own, user, ids, trees))
  let done: DoneAhead | null = null
  return {
    link,
    index: ofIndex,
    stamping,
    blobSizes,
    ahead: () => (done ??= doAhead(own, ofIndex, ids, link())),
  }
}
