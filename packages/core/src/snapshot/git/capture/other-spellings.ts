import { fromBytePath, pathResolver, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import type { Capture } from './read-contents.ts'

export interface NameRules {
  /** Upper and lower case may mean the same name. */
  readonly ignoreCase: boolean
  /** A composed and a decomposed character may mean the same name, as on macOS. */
  readonly ignoreComposition: boolean
}

/** Paths of a workspace, but for those that only spell a listed one in another way. */
export function spelledOnce(
  { path, user, listing }: Pick<Capture, 'path' | 'user' | 'listing'>,
  paths: readonly BytePath[],
): readonly BytePath[] {
  const rules = { ignoreCase: user.ignoreCase, ignoreComposition: process.platform === 'darwin' }
  return withoutOtherSpellings(paths, listing.listed, rules, isSameFileIn(path))
}

/**
 * Leaves out paths that only spell a listed one in another way. Where the file system takes `Readme` and `README`, or é as
 * one character and as two, for one name, an index or an earlier snapshot may know a file by the other one; looking it up
 * would find the same file again, and a rollback would delete it by one name and miss it by the other.
 * @param isSameFile asked of the disk, for a configuration may be wrong about it
 */
export function withoutOtherSpellings(
  paths: readonly BytePath[],
  listed: () => { keys(): Iterable<BytePath> },
  rules: NameRules,
  isSameFile: (path: BytePath, listedPath: BytePath) => boolean,
): readonly BytePath[] {
  if (paths.length === 0 || (!rules.ignoreCase && !rules.ignoreComposition)) return paths
  const spellings = new Map<string, BytePath>()
  for (const path of listed().keys()) spellings.set(keyOf(path, rules), path)
  return paths.filter((path) => {
    const spelling = spellings.get(keyOf(path, rules))
    return spelling === undefined || !isSameFile(path, spelling)
  })
}

/** Whether two paths of a workspace lead to one file. */
export function isSameFileIn(root: string): (left: BytePath, right: BytePath) => boolean {
  const resolve = pathResolver(root)
  return (left, right) => {
    const [one, other] = [lstatIfAllowed(resolve(left)), lstatIfAllowed(resolve(right))]
    if (one === null || other === null || one === 'denied' || other === 'denied') return false
    return one.ino === other.ino && one.dev === other.dev
  }
}

function keyOf(path: BytePath, { ignoreCase, ignoreComposition }: NameRules): string {
  const text = fromBytePath(path)
  const composed = ignoreComposition ? text.normalize('NFC') : text
  return ignoreCase ? composed.toLowerCase() : composed
}
