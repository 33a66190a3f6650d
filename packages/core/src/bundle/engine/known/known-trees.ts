import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import { recentlyUsed } from '../../../recently-used.ts'
import { emptyTree, type KnownTree } from './known-tree.ts'
import { knownTreeFile } from './known-tree-file.ts'

interface KeptTree {
  readonly tree: KnownTree
  readonly fingerprint: string
}

/** Trees that this thread keeps between saves. They weigh as much as they have files and directories. */
const trees = recentlyUsed<KeptTree>({
  most: 8,
  mostWeight: 100_000,
  weightOf: ({ tree }) => tree.directories.get('')?.entriesBelow ?? 0,
})

/**
 * Lends the known tree of a workspace to one save at a time. When the save succeeds, the tree goes to the cache file
 * and stays in memory; when it fails, memory forgets it and the file stays as it was.
 * @param slice for a thread in which others wait; nobody can abort what it is asked between
 */
export async function useKnownTree<T>(
  cacheDirectory: string | null,
  repositoryId: string,
  use: (tree: KnownTree) => Promise<T>,
  slice: TimeSlice | null = null,
): Promise<T> {
  if (cacheDirectory === null) return use(emptyTree())
  const file = knownTreeFile(cacheDirectory, repositoryId)
  const key = `${repositoryId} ${cacheDirectory}`
  const kept = trees.get(key)
  trees.delete(key)
  const tree =
    kept !== undefined && kept.fingerprint === file.fingerprint() ? kept.tree : await file.read(slice)
  const before = { root: tree.root, directories: new Map(tree.directories) }
  const result = await use(tree)
  const isSame =
    tree.root === before.root &&
    [...tree.directories].every(([path, directory]) => before.directories.get(path) === directory)
  if (!isSame) await file.write(tree, before.directories, slice)
  trees.set(key, { tree, fingerprint: file.fingerprint() })
  return result
}

/** Whether this thread has the tree in memory. */
export function hasKnownTree(cacheDirectory: string | null, repositoryId: string): boolean {
  return cacheDirectory !== null && trees.has(`${repositoryId} ${cacheDirectory}`)
}
