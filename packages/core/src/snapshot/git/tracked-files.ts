import { isLink } from './build-trees.ts'
import { joinPath, nativePath, splitRecords, type BytePath } from '../byte-path.ts'
import { isSettled, lstatIfAllowed, type FileStamp } from './file-stamp.ts'
import { runGit } from './git-command.ts'
import type { NestedRepository } from './nested-repository.ts'
import { isWholeIndex, readUserIndex, type IndexEntry } from './user-index.ts'
import type { UserRepository } from './repository-layout.ts'

/** What the user's index, and those of other repositories in the workspace, know about its files. */
export interface TrackedFiles {
  readonly entries: ReadonlyMap<BytePath, IndexEntry>
  /** Trees that git may have made of them. */
  readonly trees: readonly string[]
  /** Where an index says that there is another repository. */
  readonly gitlinks: readonly BytePath[]
}

/** Changes whenever the index does; empty when it changed a moment ago. */
export function readIndexStamp(indexFile: string | Buffer): string {
  const stats = lstatIfAllowed(indexFile)
  if (stats === null || stats === 'denied') return '-'
  if (!isSettled(stats, BigInt(Date.now()) * 1_000_000n)) return ''
  return `${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

/** Paths are relative to the workspace. */
export async function readTrackedFiles(
  repository: UserRepository,
  signal?: AbortSignal,
): Promise<TrackedFiles> {
  const index = readUserIndex(repository.indexFile, repository.format) ?? {
    entries: await listTrackedFiles(repository, signal),
    trees: [],
  }
  const entries = new Map<BytePath, IndexEntry>()
  const gitlinks: BytePath[] = []
  const { prefix } = repository
  for (const entry of index.entries) {
    if (prefix !== '' && !entry.path.startsWith(prefix)) continue
    const path = prefix === '' ? entry.path : entry.path.slice(prefix.length)
    if (entry.mode === GITLINK) gitlinks.push(path)
    else entries.set(path, entry)
  }
  return { entries, trees: index.trees, gitlinks }
}

/**
 * The same with what the indexes of other repositories know. One that only git could read is passed over: its files are
 * then read, and those that are tracked although they are ignored count as ignored.
 */
export function addNestedFiles(tracked: TrackedFiles, nested: readonly NestedRepository[]): TrackedFiles {
  if (nested.length === 0) return tracked
  const entries = new Map(tracked.entries)
  const trees = [...tracked.trees]
  const gitlinks = [...tracked.gitlinks]
  for (const { path, indexFile, format } of nested) {
    const index = readUserIndex(nativePath(indexFile), format)
    for (const entry of index?.entries ?? []) {
      const whole = joinPath(path, entry.path)
      if (entry.mode === GITLINK) gitlinks.push(whole)
      else entries.set(whole, entry)
    }
    trees.push(...(index?.trees ?? []))
  }
  return { entries, trees, gitlinks }
}

/**
 * Whether the file is the one that the index was written for, by all that the index knows of it. git itself compares
 * whole seconds and misses what changes within one (an edit that restores the old time, say).
 */
export function hasSameStamp(entry: IndexEntry, stamp: FileStamp): boolean {
  return (
    entry.mtimeNs === stamp.mtimeNs &&
    entry.ctimeNs === stamp.ctimeNs &&
    entry.size === stamp.size % 2 ** 32 &&
    entry.inode === Number(stamp.inode) >>> 0 &&
    (entry.mode === LINK) === isLink(stamp.mode)
  )
}

/** The same, and it cannot have changed since without a new stamp. */
export function isUntouched(entry: IndexEntry, stamp: FileStamp): boolean {
  return hasSameStamp(entry, stamp) && isSettled(stamp, entry.indexWrittenAtNs)
}

const GITLINK = 0o160000
const LINK = 0o120000

/**
 * For the kinds of index that only git can read. It lists; it neither refreshes nor writes. Of an index that is not whole
 * git would list a part as if it were all: then what was committed counts as tracked.
 */
async function listTrackedFiles(repository: UserRepository, signal?: AbortSignal): Promise<IndexEntry[]> {
  const isWhole = isWholeIndex(repository.indexFile, repository.format)
  const output = await runGit({
    args: isWhole ? ['ls-files', '-t', '--stage', '-z'] : ['ls-tree', '-r', '-z', 'HEAD'],
    // There may be no commit.
    exitCodes: isWhole ? [0] : [0, 128],
    cwd: repository.topLevel,
    configuration: 'user',
    environment: { GIT_DIR: repository.gitDirectory, GIT_WORK_TREE: repository.topLevel },
    signal,
  })
  return splitRecords(output).map((record) => {
    const end = record.indexOf('\t')
    const path = record.slice(end + 1)
    const fields = record.slice(0, end).split(' ')
    const [tag, mode = '', id = ''] = isWhole ? fields : ['H', fields[0], fields[2]]
    const unknown = { size: -1, inode: 0, mtimeNs: 0n, ctimeNs: 0n, indexWrittenAtNs: 0n }
    return { path, id, mode: Number.parseInt(mode, 8), skipWorktree: tag === 'S', ...unknown }
  })
}
