import { parentOf, pathResolver, type BytePath } from '../../byte-path.ts'
import { isAlike, type CapturedDirectory } from '../table/captured-directory.ts'
import type { CaptureState } from './capture-state.ts'
import { isSameStamp, lstatIfAllowed, stampOf } from '../table/file-stamp.ts'
import { rulesAbove, type IgnoreChain } from '../walk/ignore-chain.ts'
import { gitlinkPlaces, lookInto, rulesIn, type ListingSource } from '../walk/walk-workspace.ts'

type Directories = CaptureState['directories']

/**
 * Looks at the directories of the last capture, by the same rules, and reads those again that may have changed: they
 * change their times also when a file is replaced by one of the same name.
 * @returns what there is now, the very same where nothing has changed; `null` where a name, a kind or a permission has
 */
export async function refreshDirectories(
  source: ListingSource,
  known: Directories,
): Promise<Directories | null> {
  const resolve = pathResolver(source.path)
  const rulesFor = ruleFinder(source, known)
  const gitlinks = gitlinkPlaces(source.gitlinks)
  const readAgain: [BytePath, CapturedDirectory][] = []
  for (const [path, directory] of known) {
    const pausing = source.pause()
    if (pausing !== undefined) await pausing
    const stats = lstatIfAllowed(resolve(path))
    if (stats === null || stats === 'denied') return null
    if (directory.settled && isSameStamp(directory, stampOf(stats))) continue
    const { reach } = directory
    const found = lookInto(
      source,
      { path, reach, rules: () => rulesFor(path), isFresh: false },
      directory,
      gitlinks,
    )
    if (found === null || found === 'unreadable' || !isAlike(found, directory)) return null
    readAgain.push([path, found])
  }
  if (readAgain.length === 0) return known
  const directories = new Map(known)
  for (const [path, directory] of readAgain) directories.set(path, directory)
  return directories
}

/** The rules that come from above a directory; read when they are first asked for. */
function ruleFinder(source: ListingSource, directories: Directories) {
  const found = new Map<BytePath, IgnoreChain | null>()
  return function rulesFor(path: BytePath): IgnoreChain | null {
    if (path === '') return rulesAbove(source.user)
    const above = parentOf(path)
    const known = found.get(above)
    if (known !== undefined) return known
    const directory = directories.get(above)
    const place = { path: above, rules: () => rulesFor(above) }
    const rules = directory === undefined ? place.rules() : rulesIn(source, place, directory)()
    found.set(above, rules)
    return rules
  }
}
