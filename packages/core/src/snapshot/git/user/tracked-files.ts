import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { joinPath, nativePath, splitRecords, type BytePath } from '../../byte-path.ts'
import { isSettled, lstatIfAllowed } from '../table/file-stamp.ts'
import { runGit } from '../private/git-command.ts'
import { isPipe } from './is-pipe.ts'
import type { NestedRepository } from './nested-repository.ts'
import { GITLINK, indexEntryAt, selectRows, type IndexEntry } from '../table/index-rows.ts'
import { hasFormat, type ObjectFormat } from '../private/object-format.ts'
import { alternateEnvironment, temporaryPath, type PrivateRepository } from '../private/private-repository.ts'
import { rowFinder } from '../table/sorted-paths.ts'
import { entriesOf, isWholeIndex, readUserIndex, type UserIndex } from './user-index.ts'
import type { UserRepository } from './repository-layout.ts'

/** What the user's index, and those of other repositories in the workspace, know about its files. */
export interface TrackedFiles {
  readonly entries: TrackedEntries
  /** The same as the user's index has it; `null` where only git could read it, or where another one says otherwise. */
  readonly ofIndex: Pick<UserIndex, 'rows' | 'paths'> | null
  /** Trees that git may have made of them. */
  readonly trees: readonly string[]
  /** Where an index says that there is another repository. */
  readonly gitlinks: readonly BytePath[]
}

/** By path; a map is one too. */
interface TrackedEntries {
  get(path: BytePath): IndexEntry | undefined
  has(path: BytePath): boolean
  keys(): Iterable<BytePath>
}

/** Changes whenever the index does; empty when it changed a moment ago. */
export function readIndexStamp(indexFile: string | Buffer): string {
  const stats = lstatIfAllowed(indexFile)
  if (stats === null || stats === 'denied') return '-'
  if (!isSettled(stats, BigInt(Date.now()) * 1_000_000n)) return ''
  return `${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

/** Paths are relative to the workspace. */
export async function readTrackedFiles(workspace: Place, signal?: AbortSignal): Promise<TrackedFiles> {
  const repository = workspace.user
  const { prefix } = repository
  const index = readUserIndex(repository.indexFile, repository.format)
  if (index !== null) {
    const ofIndex = within(index, prefix)
    return { ...ofIndex, entries: entriesIn(ofIndex), ofIndex, trees: index.trees }
  }
  const entries = new Map<BytePath, IndexEntry>()
  const gitlinks: BytePath[] = []
  for (const entry of await listTrackedFiles(workspace, signal)) {
    if (!entry.path.startsWith(prefix)) continue
    const path = entry.path.slice(prefix.length)
    if (entry.mode === GITLINK) gitlinks.push(path)
    else entries.set(path, entry)
  }
  return { entries, ofIndex: null, trees: [], gitlinks }
}

interface Place {
  readonly user: UserRepository
  readonly own: PrivateRepository
}

/** What lies below a directory, by paths that begin there. */
function within(index: UserIndex, prefix: BytePath): Pick<UserIndex, 'rows' | 'paths' | 'gitlinks'> {
  if (prefix === '') return index
  const inside = [...index.paths.keys()].filter((row) => index.paths[row]?.startsWith(prefix))
  const paths = inside.map((row) => index.paths[row]?.slice(prefix.length) ?? '')
  const gitlinks = index.gitlinks.filter((path) => path.startsWith(prefix))
  return {
    rows: selectRows(index.rows, inside, paths),
    paths,
    gitlinks: gitlinks.map((path) => path.slice(prefix.length)),
  }
}

function entriesIn({ rows, paths }: Pick<UserIndex, 'rows' | 'paths'>): TrackedEntries {
  const find = rowFinder(paths)
  return {
    get(path) {
      const row = find(path)
      return row === null ? undefined : indexEntryAt(rows, row, path)
    },
    has: (path) => find(path) !== null,
    keys: () => paths,
  }
}

/**
 * The same with what the indexes of other repositories know. One that only git could read is passed over: its files are
 * then read, and those that are tracked although they are ignored count as ignored. The ids of one whose objects are named
 * by another hash say nothing here.
 */
export function addNestedFiles(
  tracked: TrackedFiles,
  nested: readonly NestedRepository[],
  ownFormat: ObjectFormat,
): TrackedFiles {
  if (nested.length === 0) return tracked
  const entries = new Map<BytePath, IndexEntry>()
  const trees = [...tracked.trees]
  const gitlinks = [...tracked.gitlinks]
  for (const { path, indexFile, format } of nested) {
    const index = readUserIndex(nativePath(indexFile), format)
    if (index === null) continue
    const isOurs = format === ownFormat
    for (const entry of entriesOf(index))
      entries.set(joinPath(path, entry.path), isOurs ? entry : { ...entry, ...UNKNOWN, id: '' })
    for (const link of index.gitlinks) gitlinks.push(joinPath(path, link))
    if (isOurs) trees.push(...index.trees)
  }
  const { entries: outer } = tracked
  const others = [...entries.keys()].filter((path) => !outer.has(path))
  return {
    entries: {
      get: (path) => entries.get(path) ?? outer.get(path),
      has: (path) => entries.has(path) || outer.has(path),
      *keys() {
        yield* outer.keys()
        yield* others
      },
    },
    ofIndex: others.length === entries.size ? tracked.ofIndex : null,
    trees,
    gitlinks,
  }
}

/**
 * For the kinds of index that only git can read. It lists; it neither refreshes nor writes. Of an index that is not whole
 * git would list a part as if it were all, and one that an agent made may be beyond git: then what was committed counts
 * as tracked.
 */
async function listTrackedFiles(workspace: Place, signal?: AbortSignal): Promise<IndexEntry[]> {
  const repository = workspace.user
  const isUsable = isWholeIndex(repository.indexFile, repository.format) && !isBlocked(repository)
  const listed = isUsable ? await listIndex(workspace, signal) : null
  if (listed !== null) return listed
  // There may be no commit.
  const call = { ...callIn(repository, signal), args: ['ls-tree', '-r', '-z', 'HEAD'], exitCodes: [0, 128] }
  const entries = splitRecords(await runGit(call)).map((record) =>
    toEntry(record, ([mode, , id]) => ['H', mode, id]),
  )
  return entries.map((entry) => (hasFormat(repository.format, entry.id) ? entry : { ...entry, id: '' }))
}

/** Of a file that has to be read. */
const UNKNOWN = { size: -1, inode: 0, mtimeNs: 0n, ctimeNs: 0n, indexWrittenAtNs: 0n }

/** Whether a pipe is in the place of the file that a split index rests on. */
function isBlocked({ gitDirectory }: UserRepository): boolean {
  const names = readdirSync(gitDirectory).filter((name) => name.startsWith('sharedindex.'))
  return names.some((name) => isPipe(join(gitDirectory, name)))
}

/**
 * To fill in what a sparse index leaves out git makes trees of what is staged, and stores them: not in the user's repository.
 * @returns `null` when git cannot read it
 */
async function listIndex({ user, own }: Place, signal?: AbortSignal): Promise<IndexEntry[] | null> {
  const aside = temporaryPath(own)
  mkdirSync(aside, { mode: 0o700 })
  const objects = { GIT_OBJECT_DIRECTORY: aside, ...alternateEnvironment(user.objectsDirectory) }
  const { environment, ...rest } = callIn(user, signal)
  const args = ['ls-files', '-t', '--stage', '-z']
  const call = { ...rest, environment: { ...environment, ...objects }, args }
  try {
    return splitRecords(await runGit(call)).map((record) => toEntry(record, (fields) => fields))
  } catch (error) {
    if (WorkspaceError.is(error, 'UNAVAILABLE') || WorkspaceError.is(error, 'TIMEOUT')) return null
    throw error
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

function callIn({ topLevel, gitDirectory }: UserRepository, signal: AbortSignal | undefined) {
  const environment = { GIT_DIR: gitDirectory, GIT_WORK_TREE: topLevel }
  return { cwd: topLevel, configuration: 'user', environment, signal } as const
}

/** @param pick the tag, mode and id among the fields before the path */
function toEntry(
  record: string,
  pick: (fields: readonly string[]) => readonly (string | undefined)[],
): IndexEntry {
  const end = record.indexOf('\t')
  const [tag, mode = '', id = ''] = pick(record.slice(0, end).split(' '))
  return {
    path: record.slice(end + 1),
    id,
    mode: Number.parseInt(mode, 8),
    skipWorktree: tag === 'S',
    ...UNKNOWN,
  }
}
