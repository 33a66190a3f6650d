import type { BytePath } from '../../byte-path.ts'
import type { CapturedDirectory } from '../table/captured-directory.ts'
import type { EntryTable } from '../table/entry-table.ts'
import type { Dirtiness } from './dirtiness.ts'
import type { LimitReason } from './choose-within-limits.ts'
import type { HeadState } from '../user/read-head.ts'
import type { PathSet } from '../table/sorted-paths.ts'

export interface LeftOutFile {
  readonly reason: LimitReason
  readonly size: number
}

/** Everything that the next capture of the same directory can build on. Losing it costs time only. */
export interface CaptureState {
  readonly tree: string
  readonly sidecar: string | null
  readonly entries: EntryTable
  /** Whether the entries are exactly what git listed. */
  readonly isAsListed: boolean
  /** Entries whose content could not be read; theirs is that of an earlier capture. */
  readonly unread: ReadonlySet<BytePath>
  /** New files that are over a limit; not among the entries. */
  readonly leftOut: ReadonlyMap<BytePath, LeftOutFile>
  /** The limits that they are over. */
  readonly limitsKey: string
  /** Entries whose content is kept out of patches. */
  readonly precious: ReadonlySet<BytePath>
  /** Directories that were looked into; the workspace itself is the empty path. */
  readonly directories: Map<BytePath, CapturedDirectory>
  readonly leafDirectories: ReadonlyMap<BytePath, number>
  /** Permission bits of files that a git tree cannot hold. */
  readonly fileModes: ReadonlyMap<BytePath, number>
  /** Tree objects by directory; the private repository holds them. */
  readonly treeIds: ReadonlyMap<BytePath, string>
  /** What git listed, by its ignore rules as they were. */
  readonly listed: () => PathSet
  readonly unreadableDirectories: readonly BytePath[]
  /** Of everything that decides what is listed; empty when it may change without showing. */
  readonly rulesStamp: string
  /** Of the index, and of those of the other repositories. */
  readonly indexStamp: string
  /** `null` when one of them had changed a moment ago. */
  readonly nestedIndexStamp: string | null
  /** Where the index says that there is another repository. */
  readonly gitlinks: readonly BytePath[]
  /** Paths of the user's index that git did not list: absent, or tracked although ignored. */
  readonly trackedUnlisted: readonly BytePath[]
  readonly head: HeadState
  readonly dirty: Dirtiness | null
}
