import { readdirSync, type Dirent } from 'node:fs'
import { joinPath, nativePath, toBytePath, type BytePath } from '../../byte-path.ts'
import {
  joinNames,
  listFiles,
  splitNames,
  type CapturedDirectory,
  type Reach,
} from '../table/captured-directory.ts'
import { isSameStamp, isSettled, lstatIfAllowed, stampOf } from '../table/file-stamp.ts'
import { isIgnored, rulesAbove, rulesOfDirectory, rulesOfNested, type IgnoreChain } from './ignore-chain.ts'
import type { Pause } from '../table/pause.ts'
import type { PreciousRules } from '../../precious-rules.ts'
import { findRepositoryAt } from '../user/repository-files.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import { isUnsupportedName } from './unsupported-name.ts'

export interface ListingSource {
  readonly path: string
  readonly user: UserRepository
  readonly precious: PreciousRules
  /** Where the index says that there is another repository; one of them may be in an ignored directory. */
  readonly gitlinks: readonly BytePath[]
  readonly pause: Pause
}

export interface Walk {
  readonly directories: Map<BytePath, CapturedDirectory>
  readonly unreadableDirectories: readonly BytePath[]
  /** All files and links, sorted by path. */
  readonly files: () => readonly BytePath[]
}

interface Visit {
  readonly path: BytePath
  readonly reach: Reach
  /** The rules that come from above; made only where a directory is read. */
  readonly rules: () => IgnoreChain | null
  /** Whether rules above have changed, so that what is known of the directory does not count. */
  readonly isFresh: boolean
}

/** Looks into every directory that counts. @param known what an earlier walk by the same rules found */
export async function walkWorkspace(
  source: ListingSource,
  known: ReadonlyMap<BytePath, CapturedDirectory> | null,
): Promise<Walk> {
  const directories = new Map<BytePath, CapturedDirectory>()
  const unreadableDirectories: BytePath[] = []
  const gitlinks = gitlinkPlaces(source.gitlinks)
  const waiting: Visit[] = [
    { path: '', reach: 'rules', rules: once(() => rulesAbove(source.user)), isFresh: known === null },
  ]
  for (let visit = waiting.pop(); visit !== undefined; visit = waiting.pop()) {
    const pausing = source.pause()
    if (pausing !== undefined) await pausing
    const before = known?.get(visit.path)
    const directory = lookInto(source, visit, before, gitlinks)
    if (directory === 'unreadable') unreadableDirectories.push(visit.path)
    if (directory === 'unreadable' || directory === null) continue
    directories.set(visit.path, directory)
    for (const child of visitsBelow(source, visit, directory, before)) waiting.push(child)
  }
  return { directories, unreadableDirectories, files: () => listFiles(directories) }
}

/** @returns what was found before where that must still be so; `null` for what is no directory any more */
export function lookInto(
  source: ListingSource,
  visit: Visit,
  before: CapturedDirectory | undefined,
  gitlinks: ReadonlySet<BytePath>,
): CapturedDirectory | 'unreadable' | null {
  const { path } = visit
  const place = placeOf(source, path)
  const readAtNs = BigInt(Date.now()) * 1_000_000n
  const stats = lstatIfAllowed(nativePath(place))
  if (stats === 'denied') return 'unreadable'
  if (stats === null || !stats.isDirectory()) return null
  const stamp = stampOf(stats)
  const isKnown = !visit.isFresh && before?.settled === true && before.reach === visit.reach
  if (isKnown && isSameStamp(before, stamp)) return before
  const found = readNames(place)
  if (found === null) return 'unreadable'
  const has = (name: string) => found.some((item) => item.name === name)
  const kind = {
    isRepository: path !== '' && has('.git') && findRepositoryAt(place) !== null,
    hasIgnoreFile: has('.gitignore'),
    reach: visit.reach,
  }
  const names = sort(
    source,
    { path, reach: reachIn(kind), rules: rulesIn(source, visit, kind), gitlinks },
    found,
  )
  return { ...stamp, ...names, ...kind, settled: isSettled(stamp, readAtNs) }
}

function visitsBelow(
  source: ListingSource,
  visit: Visit,
  directory: CapturedDirectory,
  before: CapturedDirectory | undefined,
): Visit[] {
  const children = splitNames(directory.children)
  if (children.length === 0) return []
  const rules = rulesIn(source, visit, directory)
  const isSameKind =
    before?.isRepository === directory.isRepository && before.hasIgnoreFile === directory.hasIgnoreFile
  const isFresh = visit.isFresh || !isSameKind
  const isAllPrecious = reachIn(directory) === 'precious'
  const entered = new Set(splitNames(directory.entered))
  const precious = new Set(splitNames(directory.precious))
  return children.map((name) => {
    const isPrecious = isAllPrecious || precious.has(name)
    const reach = isPrecious ? 'precious' : entered.has(name) ? 'ignored' : 'rules'
    return { path: joinPath(visit.path, name), reach, rules, isFresh }
  })
}

type Kind = Pick<CapturedDirectory, 'isRepository' | 'hasIgnoreFile' | 'reach'>

/** The rules of the repository around it say nothing about what is in another one. */
function reachIn({ isRepository, reach }: Kind): Reach {
  return isRepository && reach === 'ignored' ? 'rules' : reach
}

/** The rules that count in a directory itself. */
export function rulesIn(
  source: ListingSource,
  visit: Pick<Visit, 'path' | 'rules'>,
  kind: Kind,
): () => IgnoreChain | null {
  const { isRepository, hasIgnoreFile } = kind
  if (!isRepository && !hasIgnoreFile) return visit.rules
  const { path } = visit
  return once(() => {
    const nested = isRepository ? findRepositoryAt(placeOf(source, path)) : null
    const above =
      nested === null
        ? visit.rules()
        : rulesOfNested(source.user, path, joinPath(nested.commonDirectory, 'info/exclude'))
    if (!hasIgnoreFile) return above
    return rulesOfDirectory(above, toBytePath(source.path), path, source.user.ignoreCase)
  })
}

function placeOf(source: ListingSource, path: BytePath): BytePath {
  const root = toBytePath(source.path)
  return path === '' ? root : joinPath(root, path)
}

interface Place {
  readonly path: BytePath
  readonly reach: Reach
  readonly rules: () => IgnoreChain | null
  readonly gitlinks: ReadonlySet<BytePath>
}

/** Sorts the names in a directory by what is to become of them. */
function sort(source: ListingSource, place: Place, found: readonly Dirent[]) {
  const { path, reach, gitlinks } = place
  const lists = {
    files: [] as BytePath[],
    children: [] as BytePath[],
    special: [] as BytePath[],
    ignored: [] as BytePath[],
    precious: [] as BytePath[],
    entered: [] as BytePath[],
    unsupported: [] as BytePath[],
  }
  const rules = reach === 'rules' ? place.rules() : null
  for (const item of found) {
    const { name } = item
    if (name === '.git') continue
    if (isUnsupportedName(name)) {
      lists.unsupported.push(name)
      continue
    }
    const child = joinPath(path, name)
    const isDirectory = item.isDirectory()
    const isPrecious = reach === 'precious' || source.precious.matches(child, name)
    if (isPrecious) lists.precious.push(name)
    const isLeftOut =
      !isPrecious && (reach === 'ignored' || (rules !== null && isIgnored(rules, child, name, isDirectory)))
    if (!isLeftOut) {
      if (isDirectory) lists.children.push(name)
      else if (item.isFile() || item.isSymbolicLink()) lists.files.push(name)
      else lists.special.push(name)
    } else if (isDirectory && (gitlinks.has(child) || source.precious.mayMatchBelow(child))) {
      lists.children.push(name)
      lists.entered.push(name)
    } else lists.ignored.push(name)
  }
  return {
    files: joinNames(lists.files),
    children: joinNames(lists.children),
    special: joinNames(lists.special),
    ignored: joinNames(lists.ignored),
    precious: joinNames(lists.precious),
    entered: joinNames(lists.entered),
    unsupported: joinNames(lists.unsupported),
  }
}

/** @returns `null` when it may not be read */
function readNames(place: BytePath): Dirent[] | null {
  try {
    return readdirSync(nativePath(place), { withFileTypes: true, encoding: 'latin1' })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EACCES' || code === 'EPERM' || code === 'ENAMETOOLONG') return null
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error
    return []
  }
}

/** Whether the walk would have gone other ways if it had known of other repositories in the index. */
export function hasIgnoredGitlink({ directories }: Walk, gitlinks: readonly BytePath[]): boolean {
  if (gitlinks.length === 0) return false
  const places = gitlinkPlaces(gitlinks)
  for (const [path, { ignored }] of directories)
    if (splitNames(ignored).some((name) => places.has(joinPath(path, name)))) return true
  return false
}

/** The other repositories of the index, and the directories above them. */
export function gitlinkPlaces(gitlinks: readonly BytePath[]): Set<BytePath> {
  const places = new Set<BytePath>()
  for (const path of gitlinks) {
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) places.add(path.slice(0, end))
  }
  return places
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}
