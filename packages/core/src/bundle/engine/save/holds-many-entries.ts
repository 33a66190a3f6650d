import { readdirSync, statSync, type Dirent } from 'node:fs'
import { toFilePath, type ByteString } from '../../../filesystem/directory-handle.ts'
import { joinPath } from '../known/known-tree.ts'

/** A directory of so many bytes is taken for one of many names, and not listed: that alone would take long. */
const LARGE_DIRECTORY_BYTES = 512 * 1024

/**
 * Whether a tree has more than so many entries, by names only, so that nothing is looked at or opened but directories. A guess, for where to work:
 * what cannot be listed counts as empty.
 * @param directory absolute
 */
export function holdsManyEntries(
  directory: ByteString,
  most: number,
  isExcluded: (path: ByteString) => boolean,
): boolean {
  const pending: ByteString[] = ['']
  let entries = 0
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const listing = list(joinPath(directory, path))
    if (listing === 'large') return true
    for (const entry of listing) {
      const below = joinPath(path, entry.name)
      if (isExcluded(below)) continue
      entries += 1
      if (entries > most) return true
      if (entry.isDirectory()) pending.push(below)
    }
  }
  return false
}

function list(path: ByteString): readonly Dirent[] | 'large' {
  const native = toFilePath(path)
  try {
    if (statSync(native).size > LARGE_DIRECTORY_BYTES) return 'large'
    return readdirSync(native, { withFileTypes: true, encoding: 'latin1' })
  } catch {
    // Taken away meanwhile, or not to be read: the walk will say so.
    return []
  }
}
