import { WorkspaceError } from '../errors.ts'
import { futureRealPath, isInside } from '../filesystem/workspace-root.ts'
import type { ObjectStore } from './object-store.ts'

/** A store that keeps its objects in files of this machine. */
export interface DirectoryStore extends ObjectStore {
  /** Absolute path of the directory that holds them. */
  readonly directory: string
}

/** @returns `null` for a store that is no {@link DirectoryStore}, nor a layer around one */
export function storeDirectory(store: object): string | null {
  return 'directory' in store && typeof store.directory === 'string' ? store.directory : null
}

/**
 * A save of a directory that holds its own store would store the store, and a load or rollback would remove what was
 * saved last, or all of it.
 * @param path of the workspace; need not exist
 * @throws `INVALID_INPUT` when one of the two lies in the other
 */
export function refuseStoreOverlap(path: string, store: object): void {
  const named = storeDirectory(store)
  if (named === null) return
  const workspace = futureRealPath(path)
  const directory = futureRealPath(named)
  if (!isInside(workspace, directory) && !isInside(directory, workspace)) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The workspace ${workspace} and its store ${directory} lie one inside the other, so that saves would store the store, and loads and rollbacks would change it. Move one of them.`,
    { details: { path: workspace, directory } },
  )
}
