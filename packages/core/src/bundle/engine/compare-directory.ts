import { fstatSync, readlinkSync, type BigIntStats } from 'node:fs'
import { openAccessible } from '../../filesystem/apply-update.ts'
import {
  childPath,
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import { isWorkDirectoryName } from '../../filesystem/work-directory.ts'
import type { SymlinkEntry, TreeEntry } from '../format/tree-node.ts'
import { compareFile, settleGroups } from './compare-file.ts'
import {
  comes,
  lstatOrNull,
  occupied,
  replace,
  stagedPlace,
  surveyBelow,
  type CompareContext,
  type CompareState,
  type FileCount,
  type Place,
} from './compare-state.ts'
import { joinPath } from './known-tree.ts'
import { fieldsOf, foundEntry, isSameFields, wantedFields, type DirectoryPlan } from './load-plan.ts'
import type { Selection } from './path-selection.ts'
import type { FileFields } from './restore-frame.ts'
import { entriesOf, notInVersion, stageSubtree } from './stage-subtree.ts'
import { childOf, type TreeDirectory } from './tree-reader.ts'

/** A directory that is there and in the version. */
interface ComparedDirectory {
  readonly directory: TreeDirectory
  /** From the version's root down. */
  readonly names: readonly ByteString[]
  readonly open: DirectoryHandle
  readonly chosen: Selection
  readonly wanted: FileFields
}

/**
 * Finds out what a directory lacks and has too much of, and has what it lacks made. Changes nothing in it. Walks by open
 * directories and follows no link.
 */
export async function compareDirectory(
  context: CompareContext,
  root: TreeDirectory,
  wanted: FileFields,
  open: DirectoryHandle,
  chosen: Selection,
): Promise<void> {
  const state: CompareState = { context, groups: new Map(), inodes: new Map() }
  await compareOne(state, { directory: root, names: [], open, chosen, wanted })
  await settleGroups(state)
}

async function compareOne(state: CompareState, compared: ComparedDirectory): Promise<void> {
  const { directory, names, open, chosen, wanted } = compared
  const { plan, stage, tree, mode, slice } = state.context
  const there = plan.open(names, fstatSync(open.fd, { bigint: true }))
  if (chosen === 'all') there.after = wantedFields(wanted, there.before)
  const present = listNames(open, names.length === 0)
  let next = 0
  let isWhole = true
  const onDamage = (error: unknown): void => {
    isWhole = false
    stage.reportDamage(directory, error)
  }
  const stale: ByteString[] = []
  const missing = new Set(chosen === 'all' ? [] : chosen.keys())
  for await (const entry of entriesOf(tree, directory, onDamage)) {
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    for (; next < present.length && (present[next] ?? '') < entry.name; next += 1)
      stale.push(present[next] ?? '')
    const isPresent = present[next] === entry.name
    if (isPresent) next += 1
    const inner = chosen === 'all' ? 'all' : chosen.get(entry.name)
    if (inner === undefined) continue
    missing.delete(entry.name)
    const place = { directory: there, name: entry.name, path: childOf(directory, entry.name) }
    const stats = isPresent ? lstatOrNull(open, entry.name) : null
    await compareEntry(state, compared, place, entry, stats, inner)
  }
  if (!isWhole) {
    // What the version has here is not known as a whole, so nothing here is known to be too much.
    there.after = there.before
    return
  }
  for (const name of missing) throw notInVersion(childOf(directory, name))
  if (mode === 'merge' || chosen !== 'all') return
  stale.push(...present.slice(next))
  for (const name of stale) await removeStale(state, { there, names, open, path: directory.path }, name)
}

async function compareEntry(
  state: CompareState,
  outer: ComparedDirectory,
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
  if (reason !== null) throw occupied(place.path, 'a socket, a pipe or a device is there')
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
  outer: ComparedDirectory,
  place: Place,
  entry: TreeEntry & { readonly type: 'directory' },
  stats: BigIntStats | null,
  chosen: Selection,
): Promise<void> {
  const { stage } = state.context
  const { node, entriesBelow } = entry
  const directory = { path: place.path, node, entriesBelow, depth: outer.directory.depth + 1 }
  if (stats?.isDirectory() === true) {
    const open = openAccessible(outer.open, place.name)
    try {
      await compareOne(state, { directory, names: [...outer.names, place.name], open, chosen, wanted: entry })
    } finally {
      closeDirectory(open)
    }
    return
  }
  if (stats !== null && chosen !== 'all') throw occupied(place.path, 'it is no directory')
  const staged = stagedPlace(place, comes(state, place, stats))
  const made = stage.makeDirectory(staged, entry)
  await stageSubtree(state.context, directory, made, chosen)
  stage.leaveDirectory(made)
}

async function compareSymlink(
  state: CompareState,
  place: Place,
  entry: SymlinkEntry,
  stats: BigIntStats | null,
  open: DirectoryHandle,
): Promise<void> {
  const { memory, stage, tally } = state.context
  if (stats?.isSymbolicLink() === true) {
    const present = { ...fieldsOf(stats), mode: 0 }
    const isSame =
      readlinkSync(childPath(open, place.name), { encoding: 'latin1' }) === entry.target &&
      isSameFields(present, { ...wantedFields(entry, present), mode: 0 })
    if (isSame) {
      memory.addKept(place.path, stats, false)
      tally.kept.files += 1
      return
    }
  }
  stage.addSymlink(stagedPlace(place, await replace(state, place, stats, open)), entry)
}

/** A directory that is there, and the changes to it. */
interface StaleParent {
  readonly there: DirectoryPlan
  readonly names: readonly ByteString[]
  readonly open: DirectoryHandle
  readonly path: ByteString
}

/** Has something removed, as far as nothing in it has to stay. */
async function removeStale(state: CompareState, outer: StaleParent, name: ByteString): Promise<void> {
  const { plan, tally, left, slice } = state.context
  const stats = lstatOrNull(outer.open, name)
  if (stats === null) return
  const path = joinPath(outer.path, name)
  const reason = left.reasonFor(path, stats)
  if (reason !== null) {
    left.add(path, reason, false)
    return
  }
  const remove = (gone: FileCount): void => {
    tally.deleted.files += gone.files
    tally.deleted.bytes += gone.bytes
    outer.there.entries.push({ name, number: plan.nextNumber(), goes: foundEntry(stats), comes: false })
  }
  if (!stats.isDirectory()) {
    remove({ files: 1, bytes: Number(stats.size) })
    return
  }
  const open = openAccessible(outer.open, name)
  try {
    const inside = { files: 0, bytes: 0 }
    if ((await surveyBelow(state.context, open, path, inside)) === null) {
      remove(inside)
      return
    }
    const names = [...outer.names, name]
    const below = { there: plan.open(names, fstatSync(open.fd, { bigint: true })), names, open, path }
    for (const entry of listDirectory(open)) {
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      await removeStale(state, below, entry.name)
    }
  } finally {
    closeDirectory(open)
  }
}
