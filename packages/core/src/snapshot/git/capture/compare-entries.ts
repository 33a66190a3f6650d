import type { Delta, StateEntry } from '../../rollback/rollback-source.ts'
import { compareBytes, parentOf, splitRecords, type BytePath } from '../../byte-path.ts'
import type { StoredState } from './assert-present.ts'
import { compareModes, withData, type EntrySide } from './compare-states.ts'
import {
  compareTrees,
  DIRECTORY,
  namesThatDiffer,
  type TreeChange,
  type TreeSide,
} from '../private/compare-trees.ts'
import { rememberComparedNames } from './keep-in-view.ts'
import { runGit } from '../private/git-command.ts'
import { privateCall, type PrivateRepository } from '../private/private-repository.ts'
import type { ObjectReader } from '../private/read-object.ts'
import { readSidecar, USUAL_DIRECTORY_MODE, type Sidecar } from '../private/sidecar.ts'

/**
 * Every path that differs, sorted; unlike in the public list, directories that hold something are among them.
 * @param read of the private repository
 */
export async function compareEntries(
  own: PrivateRepository,
  read: ObjectReader,
  from: StoredState,
  to: StoredState,
  signal?: AbortSignal,
): Promise<Delta[]> {
  const [before, after] = [readSidecar(own, from.sidecar), readSidecar(own, to.sidecar)]
  const changes = await findChanges(own, read, from, to, signal)
  const deltas = new Map<BytePath, Delta>()
  const add = (path: BytePath, left: StateEntry | null, right: StateEntry | null): void => {
    if (left === null && right === null) return
    const hasSameContent =
      left !== null &&
      right !== null &&
      left.type === right.type &&
      (left.type === 'directory' || left.content === (right.type === 'directory' ? null : right.content))
    if (hasSameContent && isSame(left, right)) return
    deltas.set(path, { path, before: left, after: right, hasSameContent })
  }
  const [inBefore, inAfter] = [untracked(before), untracked(after)]
  for (const [path, change] of changes) {
    add(
      path,
      toEntry(path, change.before, before) ?? inBefore.get(path) ?? null,
      toEntry(path, change.after, after) ?? inAfter.get(path) ?? null,
    )
  }
  if (from.sidecar !== to.sidecar) {
    for (const { path, ...sides } of await compareModes(own, to, [before, after], changes, signal))
      add(path, toLeaf(sides.before), toLeaf(sides.after))
    const paths = new Set([...inBefore.keys(), ...inAfter.keys()])
    const isInTree = await membership(own, from, { inBefore, inAfter, changes }, signal)
    for (const path of paths) {
      if (changes.has(path) || isInTree(path)) continue
      add(path, inBefore.get(path) ?? null, inAfter.get(path) ?? null)
    }
    for (const path of new Set([...before.directoryModes.keys(), ...after.directoryModes.keys()])) {
      if (changes.has(path) || (deltas.has(path) && !isInTree(path))) continue
      add(path, directoryIn(before, path), directoryIn(after, path))
    }
  }
  return [...deltas.values()].toSorted((left, right) => compareBytes(left.path, right.path))
}

async function findChanges(
  own: PrivateRepository,
  read: ObjectReader,
  from: StoredState,
  to: StoredState,
  signal?: AbortSignal,
): Promise<ReadonlyMap<BytePath, TreeChange>> {
  if (from.tree === to.tree) return new Map()
  const changes = compareTrees(read, from.tree, to.tree) ?? (await askForChanges(own, from, to, signal))
  rememberComparedNames(from.tree, to.tree, namesThatDiffer(changes))
  return changes
}

async function askForChanges(
  own: PrivateRepository,
  from: StoredState,
  to: StoredState,
  signal?: AbortSignal,
): Promise<Map<BytePath, TreeChange>> {
  const changes = new Map<BytePath, TreeChange>()
  const shape = ['-r', '-t', '-z', '--raw', '--no-renames']
  const call = privateCall(own, ['diff-tree', ...shape, from.tree, to.tree], { signal })
  const records = splitRecords(await withData(own, [from, to], () => runGit(call)))
  for (let at = 0; at + 1 < records.length; at += 2) {
    const [oldMode = '', newMode = '', oldId = '', newId = ''] = (records[at] ?? '').slice(1).split(' ')
    const path = records[at + 1] ?? ''
    // A file in the place of a directory, or the other way round, is two records.
    const known = changes.get(path)
    changes.set(path, {
      before: toSide(oldMode, oldId) ?? known?.before ?? null,
      after: toSide(newMode, newId) ?? known?.after ?? null,
    })
  }
  return changes
}

function toSide(mode: string, id: string): TreeSide | null {
  return mode === '000000' ? null : { mode, id }
}

function toEntry(path: BytePath, side: TreeSide | null, sidecar: Sidecar): StateEntry | null {
  if (side === null) return null
  if (side.mode === DIRECTORY) return directoryIn(sidecar, path)
  const mode =
    side.mode === '120000' ? 0o777 : (sidecar.modes.get(path) ?? (side.mode === '100755' ? 0o755 : 0o644))
  return toLeaf({ type: side.mode === '120000' ? 'symlink' : 'file', mode, id: side.id })
}

function toLeaf(side: EntrySide | null): StateEntry | null {
  if (side === null || side.type === 'directory') return null
  const { type, mode, id } = side
  return { type, mode, size: null, content: id, modifiedAt: null, hardLinkGroup: null }
}

function directoryIn(sidecar: Sidecar, path: BytePath): StateEntry {
  return {
    type: 'directory',
    mode: sidecar.directoryModes.get(path) ?? USUAL_DIRECTORY_MODE,
    isEmpty: false,
  }
}

/** Directories that a git tree has no place for: those without captured content, and those that hold only such ones. */
function untracked(sidecar: Sidecar): Map<BytePath, StateEntry> {
  const found = new Map<BytePath, StateEntry>()
  for (const [path, mode] of sidecar.directories) {
    found.set(path, { type: 'directory', mode, isEmpty: true })
    for (let above = parentOf(path); above !== '' && !found.has(above); above = parentOf(above))
      found.set(above, directoryIn(sidecar, above))
  }
  return found
}

/**
 * Whether the trees hold a directory that a sidecar implies. Those that differ are among the changes; of the others,
 * only one that a side implies and the other does not is in question.
 */
async function membership(
  own: PrivateRepository,
  from: StoredState,
  {
    inBefore,
    inAfter,
    changes,
  }: {
    readonly inBefore: ReadonlyMap<BytePath, StateEntry>
    readonly inAfter: ReadonlyMap<BytePath, StateEntry>
    readonly changes: ReadonlyMap<BytePath, TreeChange>
  },
  signal?: AbortSignal,
): Promise<(path: BytePath) => boolean> {
  const isQuestion = (path: BytePath): boolean =>
    !changes.has(path) && inBefore.has(path) !== inAfter.has(path)
  if (![...inBefore.keys(), ...inAfter.keys()].some(isQuestion)) return () => false
  const call = privateCall(own, ['ls-tree', '-r', '-d', '-z', '--name-only', from.tree], { signal })
  const inTree = new Set(splitRecords(await withData(own, [from], () => runGit(call))))
  return (path) => inTree.has(path)
}

function isSame(left: StateEntry, right: StateEntry): boolean {
  if (left.type === 'directory' && right.type === 'directory' && left.isEmpty !== right.isEmpty) return false
  return left.mode === right.mode
}
