import { parentOf, pathResolver, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { pathsOf, type WorkspaceListing } from './list-workspace.ts'
import type { OmittedPath } from '../private/omitted-paths.ts'
import type { Capture, Contents } from './read-contents.ts'
import { realDirectoriesOf } from './real-directories.ts'

type Looked = Pick<Contents, 'omitted'> & { readonly entries: Pick<ReadonlySet<BytePath>, 'has'> }

export function listOmitted(listing: WorkspaceListing, contents: Looked): OmittedPath[] {
  const all: OmittedPath[] = [...contents.omitted]
  const { directories, unreadableDirectories } = listing
  const listed = new Set(all.map(({ path }) => path))
  for (const path of pathsOf(directories, 'ignored'))
    if (!contents.entries.has(path) && !listed.has(path)) all.push({ path, reason: 'ignored' })
  for (const path of pathsOf(directories, 'special')) all.push({ path, reason: 'special-file' })
  for (const path of pathsOf(directories, 'unsupported')) all.push({ path, reason: 'unsupported-name' })
  for (const path of unreadableDirectories) all.push({ path, reason: 'unreadable' })
  return all
}

/** Also what the last capture left out and nobody has touched since. */
export function allOmitted({ omitted, leftOut }: Contents): OmittedPath[] {
  const listed = new Set(omitted.map(({ path }) => path))
  const others = [...leftOut].filter(([path]) => !listed.has(path))
  return [...omitted, ...others.map(([path, { reason }]) => ({ path, reason }))]
}

/**
 * What was looked for besides what is listed, and was not there, with the directories above it.
 * @param kept paths of files
 */
export function findAbsent(
  capture: Pick<Capture, 'path' | 'listing' | 'absentDirectories'>,
  kept: ReadonlySet<BytePath>,
  { entries, omitted }: Looked,
): BytePath[] {
  const absent = new Set<BytePath>()
  if (kept.size === 0 && capture.absentDirectories.length === 0) return []
  const leftOut = new Set(omitted.map(({ path }) => path))
  const isRealDirectory = realDirectoriesOf(capture)
  const resolve = pathResolver(capture.path)
  // Whatever stands in the place of a directory that was looked for is there, be it left out by its own name or not.
  const isThere = (path: BytePath) =>
    path === '' ||
    entries.has(path) ||
    leftOut.has(path) ||
    (isRealDirectory(parentOf(path)) && lstatIfAllowed(resolve(path)) !== null)
  for (const path of [...kept, ...capture.absentDirectories])
    for (let part = path; !absent.has(part) && !isThere(part); part = parentOf(part)) absent.add(part)
  return [...absent]
}
