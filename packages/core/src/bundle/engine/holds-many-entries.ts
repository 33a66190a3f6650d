import { opendirSync, type Dir } from 'node:fs'
import { toFilePath, type ByteString } from '../../filesystem/directory-handle.ts'
import { joinPath } from './known-tree.ts'

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
    const listing = open(joinPath(directory, path))
    if (listing === null) continue
    try {
      for (let entry = listing.readSync(); entry !== null; entry = listing.readSync()) {
        const below = joinPath(path, entry.name)
        if (isExcluded(below)) continue
        entries += 1
        if (entries > most) return true
        if (entry.isDirectory()) pending.push(below)
      }
    } catch {
      // Taken away meanwhile, or not to be read: the walk will say so.
    } finally {
      listing.closeSync()
    }
  }
  return false
}

function open(path: ByteString): Dir | null {
  try {
    // Latin-1 gives a character for each byte.
    return opendirSync(toFilePath(path), { encoding: 'latin1' as BufferEncoding, bufferSize: 256 })
  } catch {
    return null
  }
}
