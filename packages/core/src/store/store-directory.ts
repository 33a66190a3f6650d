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
