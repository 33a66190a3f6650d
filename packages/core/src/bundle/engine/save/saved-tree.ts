import type { BundleSkip, ChangeTotal } from '../../bundle.ts'
import type { PackReference, VersionRoot, VersionStats } from '../../format/version-record.ts'

/** What `saveDirectory` has put into the store: everything that a version record says about content. JSON-safe. */
export interface SavedTree {
  readonly root: VersionRoot
  /** Every pack that holds something of this tree: new ones and the parent's. */
  readonly packs: readonly PackReference[]
  /** Of `packs`, those that this save has put. */
  readonly newPacks: readonly string[]
  readonly stats: VersionStats
  /** Against the parent; files and links. */
  readonly added: ChangeTotal
  readonly changed: ChangeTotal
  readonly removed: ChangeTotal
  readonly unchanged: ChangeTotal
  /** Content bytes that were in the store already. */
  readonly reusedBytes: number
  /** Bytes of the packs that were put. */
  readonly uploadedBytes: number
  /** Paths matched by `exclude`, sorted; a directory stands for all that it holds. */
  readonly excluded: readonly string[]
  /** What could not go in, and why. */
  readonly skipped: readonly BundleSkip[]
  /**
   * Files that kept changing while they were read. The tree holds the parent's version of such a file, or leaves it
   * out when there is none; never a mixture.
   */
  readonly unstable: readonly string[]
}

/** How far a save is. JSON-safe. */
export interface SaveProgress {
  /** Files whose content is known, by reading or from the cache. */
  readonly filesDone: number
  /** `null` until the walk is done. */
  readonly filesExpected: number | null
  /** Of the files that have to be read. */
  readonly bytesDone: number
  readonly bytesExpected: number | null
  readonly uploadedBytes: number
}
