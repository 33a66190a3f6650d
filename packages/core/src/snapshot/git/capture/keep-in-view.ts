import { WorkspaceError } from '../../../errors.ts'
import { recentlyUsed } from '../../../recently-used.ts'
import { parentOf, pathResolver, splitRecords, type BytePath } from '../../byte-path.ts'
import type { CaptureState } from './capture-state.ts'
import { isInView } from '../table/captured-directory.ts'
import type { StoredState } from './assert-present.ts'
import { compareTrees, namesThatDiffer, type ComparedNames } from '../private/compare-trees.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { runGit } from '../private/git-command.ts'
import type { WorkspaceListing } from './list-workspace.ts'
import { privateCall, type PrivateRepository } from '../private/private-repository.ts'
import type { Capture, RecalledEntry } from './read-contents.ts'
import { ownObjectReader } from '../private/read-object.ts'
import { realDirectoriesOf } from './real-directories.ts'
import { readSidecar } from '../private/sidecar.ts'

/** Paths that the trees hold, or that were captured where nobody may look now, and that git does not list; and others. */
export async function pathsInView(
  capture: Pick<Capture, 'last' | 'listing' | 'own' | 'signal'>,
  trees: readonly string[],
  others: readonly BytePath[],
): Promise<Set<BytePath>> {
  const { last, listing, own, signal } = capture
  const paths = new Set<BytePath>(others.length === 0 ? [] : unlisted(others, listing))
  for (const directory of listing.unreadableDirectories) {
    const below = `${directory}/`
    for (const path of last?.entries.paths() ?? []) if (path.startsWith(below)) paths.add(path)
  }
  const isUnchanged = last !== null && listing.listed === last.listed && last.isAsListed
  const ofLast =
    last === null || isUnchanged || trees.length === 0 ? [] : unlisted(last.entries.paths(), listing)
  for (const tree of new Set(trees)) {
    const { all, added, removed } = await namesOf(own, last, tree, signal)
    for (const path of unlisted(all ?? added, listing)) paths.add(path)
    if (all === null) for (const path of ofLast) if (!removed.has(path)) paths.add(path)
  }
  return paths
}

/**
 * Directories that the states hold for their own sake, or that are named, or in which something was that stays in view,
 * as far as no rules of now list them.
 * @param files what {@link pathsInView} says
 * @returns also the files, with what now stands in the place of a directory
 */
export function directoriesInView(
  capture: Pick<Capture, 'path' | 'last' | 'listing' | 'own'>,
  states: readonly StoredState[],
  others: readonly BytePath[],
  files: ReadonlySet<BytePath>,
): Pick<Capture, 'keptDirectories' | 'absentDirectories'> & { readonly kept: ReadonlySet<BytePath> } {
  const { path: root, last, listing, own } = capture
  const directoriesOf = (sidecar: string): Iterable<BytePath> =>
    (last?.sidecar === sidecar ? last.leafDirectories : readSidecar(own, sidecar).directories).keys()
  const wanted = new Set(others)
  for (const { sidecar } of states)
    if (sidecar !== null) for (const path of directoriesOf(sidecar)) wanted.add(path)
  const keptDirectories = new Map<BytePath, number>()
  const absentDirectories: BytePath[] = []
  const kept = new Set(files)
  const resolve = pathResolver(root)
  const isRealDirectory = realDirectoriesOf(capture)
  for (const path of emptiedDirectories([...files, ...wanted], resolve, isRealDirectory)) wanted.add(path)
  for (const path of wanted) {
    if (isListed(listing, path)) continue
    const stats = isRealDirectory(parentOf(path)) ? lstatIfAllowed(resolve(path)) : null
    if (stats === 'denied') continue
    if (stats?.isDirectory() === true) keptDirectories.set(path, Number(stats.mode) & 0o7777)
    else absentDirectories.push(path)
    if (stats?.isDirectory() === false) kept.add(path)
  }
  return { keptDirectories, absentDirectories, kept }
}

/** The deepest that there are at or above paths where nothing is that could be captured: a rollback may write into them. */
function emptiedDirectories(
  paths: Iterable<BytePath>,
  resolve: ReturnType<typeof pathResolver>,
  isRealDirectory: (path: BytePath) => boolean,
): Set<BytePath> {
  const emptied = new Set<BytePath>()
  const filled = new Set<BytePath>()
  for (const path of paths) {
    const parent = parentOf(path)
    if (filled.has(parent)) continue
    let directory = path
    while (!isRealDirectory(directory)) directory = parentOf(directory)
    if (directory === parent && lstatIfAllowed(resolve(path)) !== null) filled.add(directory)
    else emptied.add(directory)
  }
  for (const directory of filled) emptied.delete(directory)
  return emptied
}

/** Whether they are those of the last capture. */
export function hasSameKeptDirectories({
  last,
  listing,
  keptDirectories,
}: Pick<Capture, 'last' | 'listing' | 'keptDirectories'>): boolean {
  if (last === null) return false
  let count = 0
  for (const [path, mode] of last.leafDirectories) {
    if (isListed(listing, path)) continue
    if (keptDirectories.get(path) !== mode) return false
    count += 1
  }
  return count === keptDirectories.size
}

function isListed({ directories }: WorkspaceListing, path: BytePath): boolean {
  const directory = directories.get(path)
  return directory !== undefined && isInView(directory)
}

interface TreeNames extends ComparedNames {
  /** `null` when they are those of the last capture, without the removed and with the added ones. */
  readonly all: readonly BytePath[] | null
}

/** Of pairs of trees that a rollback has compared in full; trees never change. */
const comparedNames = recentlyUsed<ComparedNames>({ most: 8 })
const MAX_NAMES = 10_000

/** Whose paths are whose: captures between which no name has come or gone share one list, however much else has changed. */
const pathsOfTrees = recentlyUsed<WeakRef<readonly BytePath[]>>({ most: 64 })

/** Spares later captures from comparing the tree with theirs where no name has come or gone since. */
export function rememberPaths({ tree, entries }: Pick<CaptureState, 'tree' | 'entries'>): void {
  pathsOfTrees.set(tree, new WeakRef(entries.paths()))
}

/** Spares the next capture from comparing the two trees once more. Many names are not worth their memory. */
export function rememberComparedNames(from: string, to: string, names: ComparedNames): void {
  if (names.added.length + names.removed.size > MAX_NAMES) return
  comparedNames.set(`${from} ${to}`, names)
}

async function namesOf(
  own: PrivateRepository,
  last: CaptureState | null,
  tree: string,
  signal: AbortSignal | undefined,
): Promise<TreeNames> {
  const added: BytePath[] = []
  const removed = new Set<BytePath>()
  if (last !== null) {
    const hasSameNames = last.tree === tree || pathsOfTrees.get(tree)?.deref() === last.entries.paths()
    if (hasSameNames) return { all: null, added, removed }
    const known = comparedNames.get(`${last.tree} ${tree}`)
    if (known !== undefined) return { all: null, ...known }
    const changes = compareTrees(ownObjectReader(own), last.tree, tree)
    if (changes !== null) return { all: null, ...namesThatDiffer(changes) }
    try {
      const shape = ['-r', '-z', '--name-status', '--no-renames']
      const output = await runGit(privateCall(own, ['diff-tree', ...shape, last.tree, tree], { signal }))
      const records = splitRecords(output)
      for (let at = 0; at + 1 < records.length; at += 2) {
        const path = records[at + 1] ?? ''
        if (records[at] === 'A') added.push(path)
        if (records[at] === 'D') removed.add(path)
      }
      return { all: null, added, removed }
    } catch (error) {
      if (!WorkspaceError.is(error, 'UNAVAILABLE')) throw error
    }
  }
  const output = await runGit(privateCall(own, ['ls-tree', '-r', '-z', '--name-only', tree], { signal }))
  return { all: splitRecords(output), added, removed }
}

export function unlisted(paths: Iterable<BytePath>, listing: WorkspaceListing): BytePath[] {
  const listed = listing.listed()
  if (listed.keys() === paths) return []
  return [...paths].filter((path) => !listed.has(path))
}

/** For files that cannot be read now: what the last capture, or else the trees that are to stay in view, have. */
export function recaller(
  own: PrivateRepository,
  last: CaptureState | null,
  keepInView: readonly string[],
  signal: AbortSignal | undefined,
): Capture['recall'] {
  let stored: Promise<Map<BytePath, RecalledEntry>> | null = null
  return async (path) =>
    last?.entries.get(path) ?? (await (stored ??= readTrees(own, keepInView, signal))).get(path)
}

async function readTrees(
  own: PrivateRepository,
  trees: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<BytePath, RecalledEntry>> {
  const found = new Map<BytePath, RecalledEntry>()
  for (const tree of trees) {
    const output = await runGit(privateCall(own, ['ls-tree', '-r', '-z', tree], { signal }))
    for (const record of splitRecords(output)) {
      const end = record.indexOf('\t')
      const [mode = '', , id = ''] = record.slice(0, end).split(' ')
      const path = record.slice(end + 1)
      if (!found.has(path)) found.set(path, { id, mode: Number.parseInt(mode, 8) })
    }
  }
  return found
}
