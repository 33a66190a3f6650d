import type { Frame } from './pack-part.ts'
import { field, FIELDS } from './shared-state.ts'

/** Entries come from the walk in batches of so many. */
export const BATCH_ENTRIES = 256

/** What a thread knows of the tree; the frames are those that it made itself. */
export interface KnownTree {
  readonly names: string[]
  readonly links: string[]
  /** Of the first save, which is what is restored; a batch each. */
  readonly stats: Float64Array[]
  /** The same of the latest save. */
  readonly latest: Float64Array[]
  readonly frames: Frame[]
  /** Of the pieces. */
  readonly hashes: Set<string>
}

export function statOf({ stats }: KnownTree, entry: number, column: number): number {
  return stats[Math.floor(entry / BATCH_ENTRIES)]?.[(entry % BATCH_ENTRIES) * FIELDS + column] ?? 0
}

/** The types of entries, as their modes have them. */
export const REGULAR_FILE = 0o100_000
export const DIRECTORY = 0o040_000
export const SYMLINK = 0o120_000

export function isType(tree: KnownTree, entry: number, type: number): boolean {
  return (statOf(tree, entry, field.mode) & 0o170_000) === type
}
