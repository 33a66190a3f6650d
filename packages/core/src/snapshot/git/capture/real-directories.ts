import { parentOf, pathResolver, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import type { WorkspaceListing } from './list-workspace.ts'

/** Whether a path is a directory that is reached through directories only, listed or not. */
export function realDirectoriesOf({
  path: root,
  listing,
}: {
  readonly path: string
  readonly listing: WorkspaceListing
}) {
  const resolve = pathResolver(root)
  const real = new Map<BytePath, boolean>()
  return function isRealDirectory(path: BytePath): boolean {
    if (path === '' || listing.directories.has(path)) return true
    let answer = real.get(path)
    if (answer === undefined) {
      const stats = isRealDirectory(parentOf(path)) ? lstatIfAllowed(resolve(path)) : null
      // Nothing can be read through a directory that may not even be looked into.
      answer = stats === 'denied' || stats?.isDirectory() === true
      real.set(path, answer)
    }
    return answer
  }
}
