import { buildAllTrees, type TreeLeaves } from '../private/build-all-trees.ts'
import { buildTrees, type BuiltTrees } from '../private/build-trees.ts'
import { parentOf, pathResolver, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import type { CaptureState } from './capture-state.ts'
import { isInView } from '../table/captured-directory.ts'
import { hasSameKeptDirectories } from './keep-in-view.ts'
import { hasSamePaths, type EntryTable } from '../table/entry-table.ts'
import { openOwnObjects } from '../private/own-objects.ts'
import { writeObject, type PrivateRepository } from '../private/private-repository.ts'
import { FIELDS } from '../table/shared-columns.ts'
import type { Capture, Contents } from './read-contents.ts'
import { unusualMode, USUAL_DIRECTORY_MODE, writeSidecar } from '../private/sidecar.ts'

type StoredState = Pick<CaptureState, 'tree' | 'sidecar' | 'leafDirectories' | 'fileModes' | 'treeIds'>

/** Above this, reading the pack indexes to see which ones came with the user's packs is cheaper than writing them. */
const MANY_TREES = 64
/** Trees that are built one by one take several times as long each. */
const MAX_UNLIKE_SHARE = 1 / 8

/** Writes the trees and the sidecar of what was captured, as far as they differ from the last capture's. */
export async function storeState(
  capture: Capture,
  contents: Contents,
  precious: ReadonlySet<BytePath>,
): Promise<StoredState> {
  const { last, own } = capture
  const hasSamePathsAsLast =
    last !== null &&
    contents.touched !== null &&
    hasSamePaths({ table: last.entries, touched: contents.touched }, contents.entries)
  const knownTrees = last && {
    ids: last.treeIds,
    changed: differingPaths(last, contents),
  }
  const { root, ids, built } =
    knownTrees === null ? treesOfFirst(own, contents) : buildTrees(own, contents.entries, knownTrees)
  const known = new Set(last?.treeIds.values())
  let fresh = [...built.keys()].filter((id) => !known.has(id) && !capture.held.has(id))
  if (fresh.length > MANY_TREES) {
    const held = contents.held ?? openOwnObjects(own)
    fresh = fresh.filter((id) => !held.has(id))
  }
  for (const id of fresh) {
    await capture.pause()
    writeObject(own, 'tree', id, built.get(id) ?? Buffer.alloc(0))
  }
  const hasSameNames =
    hasSamePathsAsLast && capture.listing.listed === last.listed && hasSameKeptDirectories(capture)
  const leafDirectories = hasSameNames ? last.leafDirectories : findLeafDirectories(capture, ids)
  const fileModes = findFileModes(hasSameNames ? last.fileModes : null, contents)
  const directoryModes = new Map<BytePath, number>()
  const resolve = pathResolver(capture.path)
  /** Of a directory that nobody may look into. */
  const modeOnDisk = (path: BytePath): number => {
    const stats = lstatIfAllowed(resolve(path))
    return stats === null || stats === 'denied' ? USUAL_DIRECTORY_MODE : Number(stats.mode)
  }
  const noteMode = (path: BytePath): void => {
    const found = capture.modes?.get(path) ?? capture.listing.directories.get(path)?.mode ?? modeOnDisk(path)
    const mode = found & 0o7777
    if (mode !== USUAL_DIRECTORY_MODE) directoryModes.set(path, mode)
  }
  for (const path of ids.keys()) noteMode(path)
  for (const leaf of leafDirectories.keys())
    for (let above = parentOf(leaf); above !== '' && !ids.has(above); above = parentOf(above)) noteMode(above)
  const { unread } = contents
  const sidecar = writeSidecar(own, {
    modes: withModes(fileModes, capture.modes, (path) => contents.entries.has(path)),
    directories: withModes(leafDirectories, capture.modes, (path) => leafDirectories.has(path)),
    directoryModes,
    unread,
    precious,
  })
  return { tree: root, sidecar, leafDirectories, fileModes, treeIds: ids }
}

/** None of those that are put in is one that a git tree can hold: the owner may read there. */
function withModes(
  found: ReadonlyMap<BytePath, number>,
  others: ReadonlyMap<BytePath, number> | undefined,
  isHeld: (path: BytePath) => boolean,
): ReadonlyMap<BytePath, number> {
  const held = [...(others ?? [])].filter(([path]) => isHeld(path))
  return held.length === 0 ? found : new Map([...found, ...held])
}

/** Those that were built for the index serve where little is not as it says. */
function treesOfFirst(own: PrivateRepository, { entries, built: ahead }: Contents): BuiltTrees {
  if (ahead === null || ahead.unlike.length > entries.size * MAX_UNLIKE_SHARE)
    return buildAllTrees(own, leavesOf(entries))
  const { trees, unlike } = ahead
  if (unlike.length === 0) return trees
  const anew = buildTrees(own, entries, { ids: trees.ids, changed: unlike })
  const used = new Set(anew.ids.values())
  const stay = [...trees.built].filter(([id]) => used.has(id))
  return { ...anew, built: new Map([...stay, ...anew.built]) }
}

function leavesOf(entries: EntryTable): TreeLeaves {
  const { numbers, ids } = entries.columns()
  const modeAt = (row: number) => numbers[row * FIELDS] ?? 0
  return { paths: entries.paths(), names: entries.sharedPaths(), ids, modeAt }
}

/** Every path that is not as a git tree of the last capture has it. */
function differingPaths(last: CaptureState, contents: Contents): BytePath[] {
  const before = last.entries
  const after = contents.entries
  const isSame = (path: BytePath) => {
    const old = before.get(path)
    const now = after.get(path)
    return old === now || (old !== undefined && old.id === now?.id && old.mode === now.mode)
  }
  if (contents.touched !== null) return contents.touched.filter((path) => !isSame(path))
  const changed: BytePath[] = []
  for (const path of after.keys()) if (!isSame(path)) changed.push(path)
  for (const path of before.keys()) if (!after.has(path)) changed.push(path)
  return changed
}

function findFileModes(
  known: ReadonlyMap<BytePath, number> | null,
  contents: Contents,
): Map<BytePath, number> {
  const modes = new Map<BytePath, number>(known)
  const paths = known === null ? null : contents.touched
  const look = (path: BytePath, mode: number | undefined) => {
    const unusual = mode === undefined ? null : unusualMode(mode)
    if (unusual === null) modes.delete(path)
    else modes.set(path, unusual)
  }
  const { entries } = contents
  if (paths !== null) for (const path of paths) look(path, entries.get(path)?.mode)
  else {
    const { numbers } = entries.columns()
    const names = entries.paths()
    for (let row = 0; row < names.length; row += 1) {
      const mode = numbers[row * FIELDS] ?? 0
      if (unusualMode(mode) !== null) look(names[row] ?? '', mode)
    }
  }
  return modes
}

/**
 * Directories that hold nothing captured, whatever else is in them: git has no place for them.
 * @param trees by their directories, which are all that hold something captured
 */
function findLeafDirectories(
  { listing, keptDirectories }: Capture,
  trees: ReadonlyMap<BytePath, string>,
): Map<BytePath, number> {
  const leaves = new Map<BytePath, number>()
  for (const [path, directory] of listing.directories)
    if (isInView(directory) && !trees.has(path)) leaves.set(path, directory.mode & 0o7777)
  for (const [path, mode] of keptDirectories) if (!trees.has(path)) leaves.set(path, mode)
  const occupied = new Set<BytePath>([''])
  for (const path of leaves.keys())
    for (let above = parentOf(path); path !== '' && !occupied.has(above); above = parentOf(above))
      occupied.add(above)
  for (const path of occupied) leaves.delete(path)
  return leaves
}
