import { fstatSync, type BigIntStats } from 'node:fs'
import { WorkspaceError } from '../../../errors.ts'
import {
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { isWorkDirectoryName } from '../../../filesystem/work-name.ts'
import type { DirectoryEntry, TreeEntry } from '../../format/tree-node.ts'
import { compareFile, compareSymlink, settleGroups } from './compare-file.ts'
import {
  comes,
  countFile,
  lstatOrNull,
  occupied,
  stagedPlace,
  type CompareContext,
  type CompareState,
  type Place,
} from './compare-state.ts'
import { confirmDirectory } from './confirm-directory.ts'
import { joinPath } from '../known/known-tree.ts'
import { fieldsOf, isSameFields, wantedFields, type DirectoryPlan } from './load-plan.ts'
import type { Selection } from '../read/path-selection.ts'
import { removeStale } from './remove-stale.ts'
import { isReadable, unreadable } from './unreadable.ts'
import type { FileFields } from './restore-frame.ts'
import { notInVersion, partsOf, stageSubtree } from './stage-subtree.ts'
import { childOf, type TreeDirectory } from '../read/tree-reader.ts'

/** A directory that is there and in the version. */
interface ComparedDirectory {
  readonly directory: TreeDirectory
  /** `null` for the root, which is open and stays so. */
  readonly outer: ComparedDirectory | null
  readonly name: ByteString
  /** As its parent saw it. */
  readonly stats: BigIntStats
  readonly chosen: Selection
  readonly wanted: FileFields
  /** It is as the known parent, which is kept, knows it. */
  readonly isAsKnown: boolean
  /** Opened when it is needed: most directories are as they were. */
  open: DirectoryHandle | null
}

/**
 * Finds out what a directory lacks and has too much of, and has what it lacks made. Changes nothing in it. What differs is
 * looked at by open directories and without following a link; see `confirmDirectory` for the rest.
 */
export async function compareDirectory(
  context: CompareContext,
  root: TreeDirectory,
  wanted: FileFields,
  open: DirectoryHandle,
  stats: BigIntStats,
  chosen: Selection,
): Promise<void> {
  const state: CompareState = { context, groups: new Map(), inodes: new Map() }
  await compareFrom(state, {
    directory: root,
    outer: null,
    name: '',
    stats,
    chosen,
    wanted,
    isAsKnown: false,
    open,
  })
  await settleGroups(state)
}

/** Goes through directories that are as they were in a loop of its own, depth first, and compares the others. */
async function compareFrom(state: CompareState, first: ComparedDirectory): Promise<void> {
  const pending = [first]
  const above: ComparedDirectory[] = []
  const closeFrom = (depth: number): void => {
    while ((above.at(-1)?.directory.depth ?? -1) >= depth) {
      const { outer, open } = above.pop() ?? first
      if (outer !== null && open !== null) closeDirectory(open)
    }
  }
  try {
    for (let compared = pending.pop(); compared !== undefined; compared = pending.pop()) {
      const pause = state.context.slice.pauseWhenDue()
      if (pause !== undefined) await pause
      closeFrom(compared.directory.depth)
      above.push(compared)
      const confirming = confirmKnown(state, compared)
      const children = confirming instanceof Promise ? await confirming : confirming
      if (children === null) {
        await compareOne(state, compared)
        continue
      }
      keepKnown(state, compared)
      for (let index = children.length - 1; index >= 0; index -= 1) {
        const child = children[index]
        if (child !== undefined)
          pending.push(inside(compared, child.entry, child.stats, 'all', child.isAsKnown))
      }
    }
  } finally {
    closeFrom(0)
  }
}

/** `null` for one that is closed to this user. */
function openDirectory(state: CompareState, compared: ComparedDirectory): DirectoryHandle | null {
  const { outer, directory } = compared
  if (compared.open !== null) return compared.open
  if (outer === null) throw new WorkspaceError('INTERNAL', 'The root of a load is not open.')
  const parent = openDirectory(state, outer)
  return (compared.open = parent === null ? null : state.context.opened.open(parent, directory.path))
}

/** What it holds cannot be looked at: it can only stay, and what the version holds there cannot come. */
function leaveClosed({ context }: CompareState, { directory, chosen }: ComparedDirectory): void {
  if (directory.entriesBelow !== 0 || chosen !== 'all') throw unreadable(directory.path)
  context.left.add(directory.path, 'unreadable', true)
}

async function compareOne(state: CompareState, compared: ComparedDirectory): Promise<void> {
  const { directory, chosen } = compared
  const { stage, tree, memory, mode, slice } = state.context
  const open = openDirectory(state, compared)
  if (open === null) return leaveClosed(state, compared)
  const names = directory.path === '' ? [] : directory.path.split('/')
  const there = planDirectory(state, compared, names, open)
  const present = listNames(open, names.length === 0)
  let next = 0
  let isWhole = true
  const onDamage = (error: unknown): void => {
    isWhole = false
    stage.reportDamage(directory, error)
  }
  const stale: ByteString[] = []
  const missing = new Set(chosen === 'all' ? [] : chosen.keys())
  const outer: OpenDirectory = Object.assign(compared, { open })
  for await (const part of partsOf(tree, directory, onDamage)) {
    const rows = memory.rowsOf(part)
    for (const [index, entry] of part.entries()) {
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      const { name } = entry
      for (; next < present.length && (present[next] ?? '') < name; next += 1) stale.push(present[next] ?? '')
      const isPresent = present[next] === name
      if (isPresent) next += 1
      const inner = chosen === 'all' ? 'all' : chosen.get(name)
      if (inner === undefined) continue
      missing.delete(name)
      const place = { directory: there, name, path: childOf(directory, name), rows, index }
      await compareEntry(state, outer, place, entry, isPresent ? lstatOrNull(open, name) : null, inner)
    }
  }
  if (!isWhole) {
    // What the version has here is not known as a whole, so nothing here is known to be too much.
    there.after = there.before
    return
  }
  for (const name of missing) throw notInVersion(childOf(directory, name))
  if (mode === 'merge' || chosen !== 'all') return
  for (const name of [...stale, ...present.slice(next)])
    await removeStale(state, { there, names, open, path: directory.path }, name)
}

function planDirectory(
  { context: { plan, opened, stage } }: CompareState,
  { directory: { path }, chosen, wanted, stats: found }: ComparedDirectory,
  names: readonly ByteString[],
  open: DirectoryHandle,
): DirectoryPlan {
  const stats = fstatSync(open.fd, { bigint: true })
  // The time of the root is from before something of ours came into it.
  const now = fieldsOf(path === '' ? found : stats)
  const there = plan.open(names, { ...now, mode: opened.closedMode(path) ?? now.mode }, stats.ino)
  if (chosen === 'all') {
    there.after = wantedFields(wanted, there.before)
    const isSet = !isSameFields(there.before, there.after)
    if (isSet && there.after.mode !== wanted.mode) stage.noteDropped(path, wanted.mode)
  }
  opened.plan(path, there)
  return there
}

/** The directories in one that is as it was, to go on with; `null` for any other. */
function confirmKnown(
  { context }: CompareState,
  { directory, chosen, wanted, stats, isAsKnown }: ComparedDirectory,
): ReturnType<typeof confirmDirectory> {
  const known = chosen === 'all' ? context.memory.knownDirectory(directory) : null
  // What else a hard-linked file is called is known when all of its names have been compared.
  if (known === null || known.entries.some(isHardLinked)) return null
  if (!isAsKnown) {
    const before = fieldsOf(stats)
    if (!isSameFields(before, wantedFields(wanted, before))) return null
  }
  const { listed } = context.memory
  const isAsListed = isAsKnown ? listed.showsNames(stats) : listed.isAsListed(directory, stats)
  return confirmDirectory(context, directory, known, isAsListed)
}

function keepKnown({ context }: CompareState, { directory, stats, isAsKnown }: ComparedDirectory): void {
  const { memory, tree, tally } = context
  const known = memory.knownDirectory(directory)
  if (known === null) return
  tree.count(directory, known.entries)
  memory.keepDirectory(directory.path, known)
  if (!isAsKnown) memory.listed.add(directory, stats, memory.listed.isAsListed(directory, stats))
  for (const entry of known.entries)
    if (entry.type !== 'directory') countFile(tally.kept, entry.type === 'file' ? entry.size : 0)
  context.onProgress()
}

function isHardLinked(entry: TreeEntry): boolean {
  return entry.type === 'file' && entry.hardLinkGroup !== 0n
}

function inside(
  outer: ComparedDirectory,
  entry: DirectoryEntry,
  stats: BigIntStats,
  chosen: Selection,
  isAsKnown: boolean,
): ComparedDirectory {
  const { name, node, entriesBelow } = entry
  const { path, depth } = outer.directory
  const directory = { path: joinPath(path, name), node, entriesBelow, depth: depth + 1 }
  return { directory, outer, name, stats, chosen, wanted: entry, isAsKnown, open: null }
}

/** One that differs, and so is open. */
interface OpenDirectory extends ComparedDirectory {
  open: DirectoryHandle
}

async function compareEntry(
  state: CompareState,
  outer: OpenDirectory,
  place: Place,
  entry: TreeEntry,
  stats: BigIntStats | null,
  chosen: Selection,
): Promise<void> {
  const reason = stats === null ? null : state.context.left.reasonFor(place.path, stats)
  if (reason === 'excluded') {
    state.context.left.add(place.path, reason, true)
    return
  }
  if (reason !== null) throw occupied(place.path, 'a socket, a pipe or a device is there', false)
  if (entry.type === 'directory') return compareChild(state, outer, place, entry, stats, chosen)
  if (chosen !== 'all') throw notInVersion(`${place.path}/${chosen.keys().next().value ?? ''}`)
  if (entry.type === 'symlink') return compareSymlink(state, place, entry, stats, outer.open)
  return compareFile(state, place, entry, stats, outer.open)
}

function listNames(open: DirectoryHandle, isRoot: boolean): ByteString[] {
  const names = listDirectory(open).map(({ name }) => name)
  return isRoot ? names.filter((name) => !isWorkDirectoryName(name)) : names
}

async function compareChild(
  state: CompareState,
  outer: OpenDirectory,
  place: Place,
  entry: DirectoryEntry,
  stats: BigIntStats | null,
  chosen: Selection,
): Promise<void> {
  if (stats?.isDirectory() === true) return compareFrom(state, inside(outer, entry, stats, chosen, false))
  if (stats !== null && chosen !== 'all') throw occupied(place.path, 'it is no directory', true)
  if (stats !== null && !isReadable(outer.open, place.name, stats)) throw unreadable(place.path)
  const { stage } = state.context
  const { node, entriesBelow } = entry
  const directory = { path: place.path, node, entriesBelow, depth: outer.directory.depth + 1 }
  const staged = stagedPlace(place, comes(state, place, stats))
  const made = stage.makeDirectory(staged, entry)
  await stageSubtree(state.context, directory, made, chosen)
  stage.leaveDirectory(made)
}
