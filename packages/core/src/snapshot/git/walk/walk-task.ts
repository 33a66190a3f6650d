import type { BytePath } from '../../byte-path.ts'
import { parsePreciousRules } from '../../precious-rules.ts'
import { listFiles } from '../table/captured-directory.ts'
import { toDirectoryColumns, type DirectoryColumns } from '../table/directory-columns.ts'
import { walkWorkspace, type ListingSource } from './walk-workspace.ts'

/** A walk for another thread, which knows nothing of other repositories in the index. */
export interface WalkTask extends Pick<ListingSource, 'path' | 'user'> {
  readonly kind: 'walk'
  /** Patterns of precious files. */
  readonly precious: readonly string[]
  /** Whether somebody is at it; see {@link takeWalk}. */
  readonly taken: Int32Array
}

/** What a thread has found; `null` when it could not, or somebody else is at it. */
export interface WalkAnswer {
  readonly walk: WalkColumns | null
}

export interface WalkColumns {
  readonly directories: DirectoryColumns
  readonly unreadableDirectories: readonly BytePath[]
  /** All files and links, sorted by path, with a zero character between two. */
  readonly files: string
}

const FREE = 0
const TAKEN = 1
const STOPPED = 2

/** In the thread. */
export async function answerWalk({ path, user, precious, taken }: WalkTask): Promise<WalkAnswer> {
  if (!takeWalk(taken)) return { walk: null }
  const pause = (): undefined => {
    if (Atomics.load(taken, 0) === STOPPED) throw new Error('nobody waits for it any more')
  }
  const source = { path, user, precious: parsePreciousRules(precious), gitlinks: [], pause }
  const { directories, unreadableDirectories } = await walkWorkspace(source, null)
  const files = listFiles(directories).join('\0')
  return { walk: { directories: toDirectoryColumns(directories), unreadableDirectories, files } }
}

/** @returns whether it was still free */
export function takeWalk(taken: Int32Array): boolean {
  return Atomics.compareExchange(taken, 0, FREE, TAKEN) === FREE
}

/** Also ends one that somebody is at. */
export function stopWalk(taken: Int32Array): void {
  Atomics.store(taken, 0, STOPPED)
}
