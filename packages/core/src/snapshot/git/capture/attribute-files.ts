import { joinPath, parentOf, pathResolver, type BytePath } from '../../byte-path.ts'
import { splitNames } from '../table/captured-directory.ts'
import { lstatIfAllowed, lstatOrNull } from '../table/file-stamp.ts'
import { pathsOf, type WorkspaceListing } from './list-workspace.ts'
import type { TrackedFiles } from '../user/tracked-files.ts'

const NAME = '.gitattributes'

interface AttributeFiles {
  /** Those that are there. */
  readonly files: ReadonlySet<BytePath>
  /** `false` where one that git knows is gone: then git goes by the one in the index. */
  readonly isAllThere: boolean
}

/** Every `.gitattributes` of the workspace that git goes by, ignored or not. */
export function findAttributeFiles({
  path: root,
  listing,
  tracked,
}: {
  readonly path: string
  readonly listing: WorkspaceListing
  readonly tracked: TrackedFiles | null
}): AttributeFiles {
  const resolve = pathResolver(root)
  const files = new Set<BytePath>()
  for (const [path, directory] of listing.directories)
    if (directory.files.includes(NAME) && splitNames(directory.files).includes(NAME))
      files.add(joinPath(path, NAME))
  // Where just those are listed that are tracked, they have been found.
  const isAllListed = tracked !== null && tracked.entries.keys() === listing.listed().keys()
  const unlisted = isAllListed ? null : tracked
  for (const path of unlisted?.entries.keys() ?? []) if (isAttributeFile(path)) files.add(path)
  const isAllThere = [...files].every((path) => lstatOrNull(resolve(path))?.isFile() === true)
  for (const path of ignoredPlaces(listing, unlisted))
    if (lstatIfAllowed(resolve(path)) !== null) files.add(path)
  return { files, isAllThere }
}

/** Where else they may be: ignored themselves, or beside tracked files in ignored directories. */
function ignoredPlaces({ directories }: WorkspaceListing, tracked: TrackedFiles | null): Set<BytePath> {
  const places = new Set<BytePath>()
  for (const path of pathsOf(directories, 'ignored')) if (isAttributeFile(path)) places.add(path)
  const seen = new Set<BytePath>()
  let lead = ''
  for (const path of tracked?.entries.keys() ?? []) {
    // Most lie where the one before does.
    if (path.startsWith(lead) && !path.includes('/', lead.length)) continue
    lead = path.slice(0, path.lastIndexOf('/') + 1)
    for (let directory = parentOf(path); directory !== '' && !seen.has(directory);) {
      seen.add(directory)
      if (!directories.has(directory)) places.add(`${directory}/.gitattributes`)
      directory = parentOf(directory)
    }
  }
  return places
}

function isAttributeFile(path: BytePath): boolean {
  return path === NAME || path.endsWith(`/${NAME}`)
}
