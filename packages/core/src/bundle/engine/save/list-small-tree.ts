import { readdirSync, statSync, type Dirent } from 'node:fs'
import { inByteOrder, toFilePath, type ByteString } from '../../../filesystem/directory-handle.ts'
import { joinPath } from '../known/known-tree.ts'

/** The names in a tree, as a walk that comes soon may take them. */
export interface ListedTree {
  /** When listing began: what has changed since is not known by these names. */
  readonly startedNs: bigint
  /** The entries of each directory in byte order, by path. One that could not be listed is missing. */
  readonly directories: ReadonlyMap<ByteString, readonly Dirent[]>
}

/** A directory of so many bytes is taken for one of many names, and not listed: that alone would take long. */
const LARGE_DIRECTORY_BYTES = 512 * 1024

/**
 * Lists a tree, by names only, so that nothing is looked at or opened but directories.
 * @param directory absolute
 * @param most entries that it may have
 * @returns `null` for a tree that has more: a guess, for where to work
 */
export function listSmallTree(
  directory: ByteString,
  most: number,
  isExcluded: (path: ByteString) => boolean,
): ListedTree | null {
  const startedNs = BigInt(Date.now()) * 1_000_000n
  const directories = new Map<ByteString, readonly Dirent[]>()
  const pending: ByteString[] = ['']
  let entries = 0
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const listing = list(joinPath(directory, path))
    if (listing === 'large') return null
    if (listing === null) continue
    for (const entry of listing) {
      const below = joinPath(path, entry.name)
      if (isExcluded(below)) continue
      entries += 1
      if (entries > most) return null
      if (entry.isDirectory()) pending.push(below)
    }
    directories.set(path, listing)
  }
  return { startedNs, directories }
}

function list(path: ByteString): readonly Dirent[] | 'large' | null {
  const native = toFilePath(path)
  try {
    if (statSync(native).size > LARGE_DIRECTORY_BYTES) return 'large'
    return inByteOrder(readdirSync(native, { withFileTypes: true, encoding: 'latin1' }))
  } catch {
    // Taken away meanwhile, or not to be read: the walk will say so.
    return null
  }
}
