import { pathResolver } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import type { Capture } from './read-contents.ts'
import { readSidecar, USUAL_DIRECTORY_MODE } from '../private/sidecar.ts'

/**
 * Whether directories that nothing lists, and that are captured for the tracked or kept files in them, have the
 * permissions that the last capture found.
 */
export function haveSameModesUnlisted({
  path: root,
  last,
  listing,
  own,
}: Pick<Capture, 'path' | 'last' | 'listing' | 'own'>): boolean {
  if (last === null || last.isAsListed) return true
  const { directoryModes } = readSidecar(own, last.sidecar)
  const resolve = pathResolver(root)
  for (const path of last.treeIds.keys()) {
    if (path === '' || listing.directories.has(path)) continue
    const stats = lstatIfAllowed(resolve(path))
    if (stats === null || stats === 'denied') continue
    if ((Number(stats.mode) & 0o7777) !== (directoryModes.get(path) ?? USUAL_DIRECTORY_MODE)) return false
  }
  return true
}
