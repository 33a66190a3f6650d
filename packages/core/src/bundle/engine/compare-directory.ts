import { fstatSync, readlinkSync, type BigIntStats } from 'node:fs'
import { openAccessible } from '../../filesystem/open-accessible.ts'
import {
  childPath,
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import { isWorkDirectoryName } from '../../filesystem/work-directory.ts'
import type { DirectoryEntry, SymlinkEntry, TreeEntry } from '../format/tree-node.ts'
import { compareFile, settleGroups } from './compare-file.ts'
import {
  comes,
  countFile,
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
import { confirmDirectory } from './confirm-directory.ts'
import { joinPath } from './known-tree.ts'
import { fieldsOf, foundEntry, isSameFields, wantedFields, type DirectoryPlan } from './load-plan.ts'
import type { Selection } from './path-selection.ts'
import type { FileFields } from './restore-frame.ts'
import { notInVersion, partsOf, stageSubtree } from './stage-subtree.ts'
import { childOf, type TreeDirectory } from './tree-reader.ts'

/** A directory that is there and in the version. */
interface ComparedDirectory {
  readonly directory: TreeDirectory
  /** From the version's root down. */
  readonly names: readonly ByteString[]
  /** As its parent saw it. */
  readonly stats: BigIntStats
  readonly handle: LazyHandle
  readonly chosen: Selection
  readonly wanted: FileFields
}

/** Opened when it is needed: most directories are as they were. */
interface LazyHandle {
  open(): DirectoryHandle
  close(): void
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
  chosen: Selection,
): Promise<void> {
  const state: CompareState = { context, groups: new Map(), inodes: new Map() }
  const stats = fstatSync(open.fd, { bigint: true })
  const handle = { open: () => open, close: () => undefined }
  await compareOne(state, { directory: root, names: [], stats, handle, chosen, wanted })
  await settleGroups(state)
}

async function compareOne(state: CompareState, compared: ComparedDirectory): Promise<void> {
  if (await keepKnown(state, compared)) return
  const { directory, names, chosen, wanted } = compared
  const { plan, stage, tree, memory, mode, slice } = state.context
  const open = compared.handle.open()
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
  const outer = { ...compared, open }
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
  stale.push(...present.slice(next))
  for (const name of stale) await removeStale(state, { there, names, open, path: directory.path }, name)
}

/** Leaves a directory alone that is as it was, and goes on with those in it. */
async function keepKnown(state: CompareState, compared: ComparedDirectory): Promise<boolean> {
  const { directory, chosen, wanted, stats } = compared
  const { memory, tree, tally } = state.context
  const known = chosen === 'all' ? memory.knownDirectory(directory) : null
  // What else a hard-linked file is called is known when all of its names have been compared.
  if (known === null || known.entries.some(isHardLinked)) return false
  const before = fieldsOf(stats)
  if (!isSameFields(before, wantedFields(wanted, before))) return false
  const isAsListed = memory.listed.isAsListed(directory, stats)
  const children = await confirmDirectory(state.context, directory, known, isAsListed)
  if (children === null) return false
  tree.count(directory, known.entries)
  memory.keepDirectory(directory.path, known)
  memory.listed.add(directory, stats, isAsListed)
  for (const entry of known.entries)
    if (entry.type !== 'directory') countFile(tally.kept, entry.type === 'file' ? entry.size : 0)
  state.context.onProgress()
  for (const child of children) await descend(state, compared, child.entry, child.stats, 'all')
  return true
}

function isHardLinked(entry: TreeEntry): boolean {
  return entry.type === 'file' && entry.hardLinkGroup !== 0n
}

async function descend(
  state: CompareState,
  outer: ComparedDirectory,
  entry: DirectoryEntry,
  stats: BigIntStats,
  chosen: Selection,
): Promise<void> {
  const handle = openLater(() => openAccessible(outer.handle.open(), entry.name))
  const { name, node, entriesBelow } = entry
  const path = childOf(outer.directory, name)
  const directory = { path, node, entriesBelow, depth: outer.directory.depth + 1 }
  try {
    await compareOne(state, {
      directory,
      names: [...outer.names, name],
      stats,
      handle,
      chosen,
      wanted: entry,
    })
  } finally {
    handle.close()
  }
}

function openLater(open: () => DirectoryHandle): LazyHandle {
  let handle: DirectoryHandle | null = null
  return {
    open: () => (handle ??= open()),
    close: () => {
      if (handle !== null) closeDirectory(handle)
    },
  }
}

/** One that differs, and so is open. */
interface OpenDirectory extends ComparedDirectory {
  readonly open: DirectoryHandle
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
  outer: OpenDirectory,
  place: Place,
  entry: DirectoryEntry,
  stats: BigIntStats | null,
  chosen: Selection,
): Promise<void> {
  if (stats?.isDirectory() === true) return descend(state, outer, entry, stats, chosen)
  if (stats !== null && chosen !== 'all') throw occupied(place.path, 'it is no directory')
  const { stage } = state.context
  const { node, entriesBelow } = entry
  const directory = { path: place.path, node, entriesBelow, depth: outer.directory.depth + 1 }
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
      memory.addKept(place, stats, false)
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
