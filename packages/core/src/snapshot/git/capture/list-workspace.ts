import { joinPath, nativePath, toBytePath, type BytePath } from '../../byte-path.ts'
import { isAlike, splitNames, type CapturedDirectory } from '../table/captured-directory.ts'
import type { CaptureState } from './capture-state.ts'
import { isSettled, lstatIfAllowed } from '../table/file-stamp.ts'
import { refreshDirectories } from './refresh-directories.ts'
import { findRepositoryAt } from '../user/repository-files.ts'
import { sortedPathSet } from '../table/sorted-paths.ts'
import { hasIgnoredGitlink, walkWorkspace, type ListingSource, type Walk } from '../walk/walk-workspace.ts'

/**
 * What there is in the workspace, by git's ignore rules. `listed` is the last capture's own when every directory holds
 * the same names, of the same kinds, with the same permissions.
 */
export type WorkspaceListing = Pick<
  CaptureState,
  'listed' | 'directories' | 'unreadableDirectories' | 'rulesStamp'
>

/**
 * Lists the workspace, and each other repository in it by the rules of that one. Names come and go only with a new
 * modification time of their directory, so that directories are read again only where they, or the rules, have changed.
 * @param walkAhead gives a walk that has begun before the index was read; asked only where nothing is known
 */
export async function listWorkspace(
  source: ListingSource,
  last: CaptureState | null,
  walkAhead: () => Promise<Walk | null>,
): Promise<WorkspaceListing> {
  const isSameRules =
    last !== null && last.rulesStamp !== '' && last.rulesStamp === stampRules(source, last.directories)
  if (isSameRules && last.unreadableDirectories.length === 0) {
    const directories = await refreshDirectories(source, last.directories)
    if (directories === last.directories) return last
    const { listed, unreadableDirectories, rulesStamp } = last
    if (directories !== null) return { listed, directories, unreadableDirectories, rulesStamp }
  }
  const ahead = last === null ? await walkAhead() : null
  const isAhead = ahead !== null && !hasIgnoredGitlink(ahead, source.gitlinks)
  const walk = isAhead ? ahead : await walkWorkspace(source, isSameRules ? last.directories : null)
  const hasOld = last !== null && hasSameNames(walk.directories, last.directories)
  // Whoever compares the two lists sees at once that they are one.
  const listed = hasOld ? last.listed : once(() => sortedPathSet(walk.files()))
  const { directories, unreadableDirectories } = walk
  return { listed, directories, unreadableDirectories, rulesStamp: stampRules(source, directories) }
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}

function hasSameNames(
  now: ReadonlyMap<BytePath, CapturedDirectory>,
  then: ReadonlyMap<BytePath, CapturedDirectory>,
): boolean {
  if (now.size !== then.size) return false
  for (const [path, directory] of now) {
    const other = then.get(path)
    if (directory !== other && (other === undefined || !isAlike(directory, other))) return false
  }
  return true
}

/** Changes whenever the rules do, wherever they are; empty when one of their files changed a moment ago. */
function stampRules(source: ListingSource, directories: ReadonlyMap<BytePath, CapturedDirectory>): string {
  const { user, precious, gitlinks } = source
  const now = BigInt(Date.now()) * 1_000_000n
  const root = toBytePath(source.path)
  const files: BytePath[] = [toBytePath(user.excludeFile), toBytePath(user.globalExcludesFile)]
  const above = user.prefix.split('/').slice(0, -1)
  for (const depth of above.keys()) {
    const directory = joinPath(toBytePath(user.topLevel), above.slice(0, depth).join('/'))
    files.push(joinPath(directory, '.gitignore'))
  }
  const stamps: string[] = [precious.key, gitlinks.join('\0'), String(user.ignoreCase)]
  for (const [path, { hasIgnoreFile, isRepository }] of directories) {
    const place = path === '' ? root : joinPath(root, path)
    if (hasIgnoreFile) files.push(joinPath(place, '.gitignore'))
    if (!isRepository) continue
    const common = findRepositoryAt(place)?.commonDirectory
    stamps.push(common ?? '-')
    if (common !== undefined) files.push(joinPath(common, 'info/exclude'))
  }
  for (const file of files) {
    const stats = lstatIfAllowed(nativePath(file))
    // git too goes on without rules that it may not read.
    if (stats === null || stats === 'denied') stamps.push('-')
    else if (!isSettled(stats, now)) return ''
    else stamps.push(`${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`)
  }
  return stamps.join(' ')
}

export function* pathsOf(
  directories: ReadonlyMap<BytePath, CapturedDirectory>,
  kind: 'ignored' | 'special' | 'unsupported' | 'precious',
): Generator<BytePath> {
  for (const [path, directory] of directories) {
    if (directory[kind] === '') continue
    for (const name of splitNames(directory[kind])) yield joinPath(path, name)
  }
}
