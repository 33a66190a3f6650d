import { fstatSync, lstatSync, readlinkSync, type BigIntStats } from 'node:fs'
import { WorkspaceError } from '../../errors.ts'
import { openAccessible } from '../../filesystem/apply-update.ts'
import {
  childPath,
  closeDirectory,
  listDirectory,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../filesystem/time-slice.ts'
import { isWorkDirectoryName } from '../../filesystem/work-directory.ts'
import { pathText } from '../exclude-filter.ts'
import type { FileEntry, SymlinkEntry, TreeEntry } from '../format/tree-node.ts'
import { closePresent, openPresent, type ContentCheck } from './check-file.ts'
import type { LoadMemory } from './load-memory.ts'
import {
  fieldsOf,
  foundEntry,
  isSameFields,
  wantedFields,
  type DirectoryPlan,
  type LoadPlan,
} from './load-plan.ts'
import type { Selection } from './path-selection.ts'
import type { FileFields } from './restore-frame.ts'
import { stageSubtree } from './stage-subtree.ts'
import type { TreeStage } from './stage-tree.ts'
import { childOf, type TreeDirectory, type TreeReader } from './tree-reader.ts'

export interface CompareContext {
  readonly mode: 'exact' | 'merge'
  readonly tree: TreeReader
  readonly stage: TreeStage
  readonly plan: LoadPlan
  readonly memory: LoadMemory
  readonly content: ContentCheck
  readonly slice: TimeSlice
  readonly tally: CompareTally
  readonly onProgress: () => void
}

export interface CompareTally {
  readonly deleted: { files: number; bytes: number }
  readonly kept: { files: number; bytes: number }
  readonly verified: { files: number; bytes: number }
}

/** One name of a hard-linked file: all of them stay, or all are made anew. */
interface GroupMember {
  readonly place: Place
  readonly entry: FileEntry
  readonly stats: BigIntStats | null
  readonly isSame: boolean
}

interface Place {
  readonly directory: DirectoryPlan
  readonly name: ByteString
  readonly path: ByteString
}

/**
 * Finds out what a directory lacks and has too much of, and has what it lacks made. Changes nothing in it. Walks by open
 * directories and follows no link.
 */
export async function compareDirectory(
  context: CompareContext,
  root: TreeDirectory,
  fields: FileFields,
  handle: DirectoryHandle,
  selection: Selection,
): Promise<void> {
  const groups = new Map<bigint, GroupMember[]>()
  /** Inodes of files with several names, by who has them in the version. */
  const inodes = new Map<bigint, bigint | null>()
  const { plan, stage, tree, mode, tally, slice } = context

  async function compare(
    directory: TreeDirectory,
    names: readonly ByteString[],
    open: DirectoryHandle,
    chosen: Selection,
    wanted: FileFields,
  ): Promise<void> {
    const there = plan.open(names, fstatSync(open.fd, { bigint: true }))
    if (chosen === 'all') there.after = wantedFields(wanted, there.before)
    const all = listDirectory(open).map(({ name }) => name)
    const present = names.length === 0 ? all.filter((name) => !isWorkDirectoryName(name)) : all
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
      await compareEntry(place, entry, stats, open, inner, directory.depth + 1)
    }
    if (!isWhole) {
      there.after = there.before
      return
    }
    for (const name of missing) throw notInVersion(childOf(directory, name))
    if (mode === 'merge' || chosen !== 'all') return
    stale.push(...present.slice(next))
    for (const name of stale) await remove(there, open, name)
  }

  async function compareEntry(
    place: Place,
    entry: TreeEntry,
    stats: BigIntStats | null,
    open: DirectoryHandle,
    inner: Selection,
    depth: number,
  ): Promise<void> {
    if (inner !== 'all' && entry.type !== 'directory')
      throw notInVersion(`${place.path}/${inner.keys().next().value ?? ''}`)
    if (entry.type === 'directory') {
      const directory = { path: place.path, node: entry.node, entriesBelow: entry.entriesBelow, depth }
      if (stats?.isDirectory() === true) {
        const child = openAccessible(open, place.name)
        try {
          await compare(directory, [...place.directory.path, place.name], child, inner, entry)
        } finally {
          closeDirectory(child)
        }
        return
      }
      if (stats !== null && inner !== 'all') throw occupied(place.path, 'it is no directory')
      const number = await replace(place, stats, open)
      const staged = { directory: 0, name: String(number), path: place.path }
      await stageSubtree(context, directory, stage.makeDirectory(staged, entry), inner)
      return
    }
    if (entry.type === 'symlink') return compareSymlink(place, entry, stats, open)
    return compareFile(place, entry, stats, open)
  }

  async function compareSymlink(
    place: Place,
    entry: SymlinkEntry,
    stats: BigIntStats | null,
    open: DirectoryHandle,
  ): Promise<void> {
    if (stats?.isSymbolicLink() === true) {
      const before = fieldsOf(stats)
      const isSame =
        readlinkSync(childPath(open, place.name), { encoding: 'latin1' }) === entry.target &&
        isSameFields({ ...before, mode: 0 }, { ...wantedFields(entry, before), mode: 0 })
      if (isSame) {
        context.memory.addKept(place.path, stats, false)
        tally.kept.files += 1
        return
      }
    }
    stage.addSymlink(stagedPlace(place, await replace(place, stats, open)), entry)
  }

  async function compareFile(
    place: Place,
    entry: FileEntry,
    stats: BigIntStats | null,
    open: DirectoryHandle,
  ): Promise<void> {
    const isSame = stats !== null && stats.isFile() && (await isSameFile(place, entry, stats, open))
    if (entry.hardLinkGroup !== 0n) {
      if (stats?.isDirectory() === true) await makeRoom(place, open)
      const members = groups.get(entry.hardLinkGroup) ?? []
      members.push({ place, entry, stats, isSame })
      groups.set(entry.hardLinkGroup, members)
      if (stats !== null && isSame) claim(stats, entry.hardLinkGroup)
      return
    }
    if (isSame && stats !== null && claim(stats, null)) {
      const before = fieldsOf(stats)
      const after = wantedFields(entry, before)
      const isAlike = isSameFields(before, after)
      // The file may have names outside of the directory, and would change there too.
      if (isAlike || stats.nlink === 1n) {
        if (!isAlike) {
          place.directory.fields.push({ name: place.name, found: foundEntry(stats), before, after })
          context.memory.addUnsettled(place.path)
        }
        keep(entry)
        return
      }
    }
    const present = stats?.isFile() === true && entry.runs.length > 1 ? openPresent(open, place.name) : null
    try {
      await stage.addFile(stagedPlace(place, await replace(place, stats, open)), entry, present)
    } finally {
      closePresent(present)
    }
  }

  async function isSameFile(
    place: Place,
    entry: FileEntry,
    stats: BigIntStats,
    open: DirectoryHandle,
  ): Promise<boolean> {
    if (stats.size !== BigInt(entry.size)) return false
    if (context.memory.hasContent(place.path, stats, entry.runs)) {
      context.memory.addKept(place.path, stats, true)
      return true
    }
    const fd = openPresent(open, place.name)
    if (fd === null) return false
    try {
      // What was opened must be what was looked at: it may have been exchanged for a device.
      if (fstatSync(fd, { bigint: true }).ino !== stats.ino) return false
      const isSame = await context.content.holds(fd, tree.runs(place.path, entry))
      if (isSame) {
        add(tally.verified, entry)
        context.memory.addKept(place.path, stats, false)
      }
      return isSame
    } catch (error) {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
      return false
    } finally {
      closePresent(fd)
    }
  }

  /** False for an inode that is another file of the version already. */
  function claim(stats: BigIntStats, group: bigint | null): boolean {
    if (stats.nlink === 1n) return true
    const owner = inodes.get(stats.ino)
    if (owner === undefined) {
      inodes.set(stats.ino, group)
      return true
    }
    return group !== null && owner === group
  }

  function keep(entry: FileEntry): void {
    add(tally.kept, entry)
    context.onProgress()
  }

  /** Notes that something new comes to a place, whatever is there goes. */
  async function replace(place: Place, stats: BigIntStats | null, open: DirectoryHandle): Promise<number> {
    if (stats?.isDirectory() === true) await makeRoom(place, open)
    return comes(place, stats)
  }

  /** Counts what goes with a directory, where it may go. */
  async function makeRoom(place: Place, open: DirectoryHandle): Promise<void> {
    const inside = openAccessible(open, place.name)
    try {
      if (mode === 'merge' && listDirectory(inside).length > 0) {
        throw occupied(place.path, 'a directory that is not empty is there')
      }
      await countBelow(inside, tally.deleted, slice)
    } finally {
      closeDirectory(inside)
    }
  }

  function comes(place: Place, stats: BigIntStats | null): number {
    const number = plan.nextNumber()
    const goes = stats === null ? null : foundEntry(stats)
    place.directory.entries.push({ name: place.name, number, goes, comes: true })
    return number
  }

  async function remove(there: DirectoryPlan, open: DirectoryHandle, name: ByteString): Promise<void> {
    const stats = lstatOrNull(open, name)
    if (stats === null) return
    if (stats.isDirectory()) {
      const inside = openAccessible(open, name)
      try {
        await countBelow(inside, tally.deleted, slice)
      } finally {
        closeDirectory(inside)
      }
    } else add(tally.deleted, { size: Number(stats.size) })
    there.entries.push({ name, number: plan.nextNumber(), goes: foundEntry(stats), comes: false })
  }

  async function settleGroups(): Promise<void> {
    for (const [group, members] of groups) {
      const first = members[0]?.stats
      const isKept = members.every(({ stats, isSame, entry }) => {
        if (!isSame || stats === null || stats.ino !== first?.ino) return false
        const before = fieldsOf(stats)
        return (inodes.get(stats.ino) ?? group) === group && isSameFields(before, wantedFields(entry, before))
      })
      for (const { place, entry, stats } of members) {
        if (isKept) keep(entry)
        else {
          await stage.addFile(stagedPlace(place, comes(place, stats)), entry, null)
        }
      }
    }
  }

  await compare(root, [], handle, selection, fields)
  await settleGroups()
}

/** A directory's entries; damage to it ends them early instead of ending the load. */
export async function* entriesOf(
  tree: TreeReader,
  directory: TreeDirectory,
  onDamage: (error: unknown) => void,
): AsyncGenerator<TreeEntry, void, void> {
  try {
    for await (const entry of tree.entries(directory)) yield entry
  } catch (error) {
    onDamage(error)
  }
}

function stagedPlace(place: Place, number: number) {
  return { directory: 0, name: String(number), path: place.path }
}

async function countBelow(
  handle: DirectoryHandle,
  total: { files: number; bytes: number },
  slice: TimeSlice,
): Promise<void> {
  for (const { name } of listDirectory(handle)) {
    await slice.pauseWhenDue()
    const stats = lstatOrNull(handle, name)
    if (stats === null) continue
    if (!stats.isDirectory()) {
      add(total, { size: Number(stats.size) })
      continue
    }
    const inside = openAccessible(handle, name)
    try {
      await countBelow(inside, total, slice)
    } finally {
      closeDirectory(inside)
    }
  }
}

function add(total: { files: number; bytes: number }, { size }: { readonly size: number }): void {
  total.files += 1
  total.bytes += size
}

function lstatOrNull(directory: DirectoryHandle, name: ByteString): BigIntStats | null {
  return lstatSync(childPath(directory, name), { bigint: true, throwIfNoEntry: false }) ?? null
}

export function notInVersion(path: ByteString): WorkspaceError {
  const shown = pathText(path)
  return new WorkspaceError(
    'NOT_FOUND',
    `The version has no ${JSON.stringify(shown)}. Nothing was changed; look for the path with diff or history.`,
    { details: { path: shown } },
  )
}

function occupied(path: ByteString, reason: string): WorkspaceError {
  const shown = pathText(path)
  return new WorkspaceError(
    'CONFLICT',
    `Cannot load ${JSON.stringify(shown)}: ${reason}. Move it away, or load the whole directory exactly.`,
    { details: { path: shown } },
  )
}
