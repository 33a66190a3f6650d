import { join } from 'node:path'
import { doAhead, type DoneAhead } from './do-ahead.ts'
import { idsOfRows } from '../table/index-rows.ts'
import { linkIndexed, type LinkedBlobs } from '../user/link-indexed.ts'
import { sizesOfIds } from '../private/object-sizes.ts'
import { listNames } from '../private/own-objects.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import { startStamping, type Stamping } from '../walk/start-stamping.ts'
import type { StartedWalk } from '../walk/start-walk.ts'
import type { TrackedFiles } from '../user/tracked-files.ts'

interface Workspace {
  /** Real path. */
  readonly path: string
  readonly own: PrivateRepository
  readonly user: UserRepository
}

/** What git says of the blobs that the index names. */
interface IndexedBlobs {
  /** By the rows of the index; -1 for what neither we nor the user's repository has. */
  readonly sizes: Float64Array
  /** Whether we are known to have all of them. */
  readonly isAllHeld: boolean
}

/** More loose objects in one of the 256 directories: linking them takes longer than all the rest. */
const FEW_IN_A_FAN = 8

/** What is known of the index at the first capture, which believes it where it can. */
export interface FirstCapture {
  readonly index: NonNullable<TrackedFiles['ofIndex']>
  /** Of the files that the index names. */
  readonly stamping: Stamping
  readonly blobs: Promise<IndexedBlobs>
  /** Makes the blobs our own where that only takes links. */
  readonly link: () => LinkedBlobs
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
  let linked: LinkedBlobs | null = null
  const link = () => (linked ??= linkIndexed(own, user, ids, trees))
  const blobs = askAboutBlobs(own, user, ids, { link, signal })
  // Whoever awaits it sees it; until then a failure elsewhere must not leave this one unhandled.
  blobs.catch(() => {})
  let done: DoneAhead | null = null
  return {
    link,
    index: ofIndex,
    stamping,
    blobs,
    ahead: () => (done ??= doAhead(own, ofIndex, ids, link())),
  }
}

/** Of what has been linked before, git's answer says also that we have it. */
async function askAboutBlobs(
  own: PrivateRepository,
  user: UserRepository,
  ids: Uint8Array,
  { link, signal }: { readonly link: () => LinkedBlobs; readonly signal: AbortSignal | undefined },
): Promise<IndexedBlobs> {
  const alternate = user.objectsDirectory
  if (listNames(join(alternate, '17')).length <= FEW_IN_A_FAN && link().canLink) {
    const sizes = await sizesOfIds(own, ids, { signal })
    if (!sizes.includes(-1)) return { sizes, isAllHeld: true }
  }
  return { sizes: await sizesOfIds(own, ids, { alternate, signal }), isAllHeld: false }
}
